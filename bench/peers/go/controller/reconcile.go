package main

import (
	"context"
	"reflect"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Reconciler makes the two objects of a target what the blueprint says, and writes only what is not so already.
type Reconciler struct {
	client     client.Client
	recorder   events.EventRecorder
	kinds      map[string]Kind
	configured *prometheus.GaugeVec

	mutex   sync.Mutex
	done    map[Key]bool
	written map[string]written
}

// written is the last object that was applied. Until the cache shows it, it is what is compared with: an event of the
// first object must not have the second applied again.
type written struct {
	object   client.Object
	revision uint64
}

// Reconcile looks at one target.
func (r *Reconciler) Reconcile(ctx context.Context, key Key) (reconcile.Result, error) {
	kind := r.kinds[key.Kind]
	target := kind.New()
	err := r.client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: key.Name}, target)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, err
	}
	name := target.GetAnnotations()[blueprintAnnotation]
	if err != nil || name == "" {
		return reconcile.Result{}, r.optOut(ctx, kind, key)
	}
	blueprint := &BackupBlueprint{}
	if err := r.client.Get(ctx, client.ObjectKey{Name: name}, blueprint); err != nil {
		if apierrors.IsNotFound(err) {
			r.recorder.Eventf(target, nil, corev1.EventTypeWarning, "BlueprintNotFound", "Resolve", "There is no %s", name)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, err
	}
	repository, configuration := resolve(kind, key, target, blueprint)
	if err := r.apply(ctx, target, repository, &Repository{}); err != nil {
		return reconcile.Result{}, err
	}
	if err := r.apply(ctx, target, configuration, &BackupConfiguration{}); err != nil {
		return reconcile.Result{}, err
	}
	r.count(key, true)
	return reconcile.Result{}, nil
}

func (r *Reconciler) apply(ctx context.Context, target, desired, live client.Object) error {
	key := client.ObjectKeyFromObject(desired)
	err := r.client.Get(ctx, key, live)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	id := desired.GetObjectKind().GroupVersionKind().Kind + "/" + key.String()
	if err == nil && live.GetLabels()[managedBy] != product {
		r.recorder.Eventf(target, nil, corev1.EventTypeWarning, "NameConflict", "Apply", "%s is somebody else's", id)
		return nil
	}
	r.mutex.Lock()
	last, known := r.written[id]
	r.mutex.Unlock()
	if known && revision(live) < last.revision {
		live, err = last.object, nil
	}
	if err == nil && covers(live, desired) {
		return nil
	}
	applied := desired.DeepCopyObject().(client.Object)
	//nolint:staticcheck // a typed object as the patch is the cheaper of the two ways to apply
	if err := r.client.Patch(ctx, applied, client.Apply, client.FieldOwner(product), client.ForceOwnership); err != nil {
		return err
	}
	applied.SetManagedFields(nil)
	r.mutex.Lock()
	r.written[id] = written{applied, revision(applied)}
	r.mutex.Unlock()
	r.recorder.Eventf(target, applied, corev1.EventTypeNormal, "Applied", "Apply", "%s is as the blueprint says", id)
	return nil
}

// covers tells whether the live object has all of what is desired.
func covers(live, desired client.Object) bool {
	return contains(live.GetLabels(), desired.GetLabels()) &&
		contains(live.GetAnnotations(), desired.GetAnnotations()) &&
		reflect.DeepEqual(live.GetOwnerReferences(), desired.GetOwnerReferences()) &&
		sameSpec(live, desired)
}

func contains(all, some map[string]string) bool {
	for name, value := range some {
		if found, ok := all[name]; !ok || found != value {
			return false
		}
	}
	return true
}

func sameSpec(live, desired client.Object) bool {
	switch typed := desired.(type) {
	case *Repository:
		return equality.Semantic.DeepEqual(live.(*Repository).Spec, typed.Spec)
	case *BackupConfiguration:
		return equality.Semantic.DeepEqual(live.(*BackupConfiguration).Spec, typed.Spec)
	}
	return false
}

// optOut deletes the BackupConfiguration and keeps the Repository.
func (r *Reconciler) optOut(ctx context.Context, kind Kind, key Key) error {
	r.count(key, false)
	live := &BackupConfiguration{}
	at := client.ObjectKey{Namespace: key.Namespace, Name: key.short(kind)}
	if err := r.client.Get(ctx, at, live); err != nil {
		return client.IgnoreNotFound(err)
	}
	if live.GetLabels()[managedBy] != product {
		return nil
	}
	uid := live.GetUID()
	err := r.client.Delete(ctx, live, client.Preconditions{UID: &uid})
	return client.IgnoreNotFound(err)
}

func (r *Reconciler) count(key Key, configured bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if configured != r.done[key] {
		r.done[key] = configured
		change := 1.0
		if !configured {
			change = -1
			delete(r.done, key)
		}
		r.configured.WithLabelValues(key.Kind, "configured").Add(change)
	}
}

func revision(object client.Object) uint64 {
	found, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return found
}
