package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// targets are the keys of all that ask for this blueprint, out of the cache's index and without copies of the objects.
func targets(ctx context.Context, reader client.Reader, kind Kind, blueprint string) []Key {
	list := map[string]client.ObjectList{
		"Deployment":            &appsv1.DeploymentList{},
		"StatefulSet":           &appsv1.StatefulSetList{},
		"DaemonSet":             &appsv1.DaemonSetList{},
		"PersistentVolumeClaim": &corev1.PersistentVolumeClaimList{},
	}[kind.Name]
	field := client.MatchingFields{"blueprint": blueprint}
	if err := reader.List(ctx, list, field, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	keys := make([]Key, 0, meta.LenList(list))
	_ = meta.EachListItem(list, func(object runtime.Object) error {
		found := object.(client.Object)
		keys = append(keys, Key{kind.Name, found.GetNamespace(), found.GetName()})
		return nil
	})
	return keys
}

// cacheSynced is ready when every cache is complete.
func cacheSynced(found cache.Cache) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), 20*time.Millisecond)
		defer cancel()
		if !found.WaitForCacheSync(ctx) {
			return fmt.Errorf("the caches are not complete")
		}
		return nil
	}
}
