package main

import (
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const blueprintAnnotation = "stash.appscode.com/backup-blueprint"

// keep is the cache's transform: what the reconciler never reads is not held. An object that does not ask for backup
// is held as its name alone.
func keep(object any) (any, error) {
	found, ok := object.(client.Object)
	if !ok {
		return object, nil
	}
	meta := metav1.ObjectMeta{
		Name:            found.GetName(),
		Namespace:       found.GetNamespace(),
		UID:             found.GetUID(),
		ResourceVersion: found.GetResourceVersion(),
	}
	if found.GetAnnotations()[blueprintAnnotation] == "" {
		switch found.(type) {
		case *appsv1.Deployment:
			return &appsv1.Deployment{ObjectMeta: meta}, nil
		case *appsv1.StatefulSet:
			return &appsv1.StatefulSet{ObjectMeta: meta}, nil
		case *appsv1.DaemonSet:
			return &appsv1.DaemonSet{ObjectMeta: meta}, nil
		case *corev1.PersistentVolumeClaim:
			return &corev1.PersistentVolumeClaim{ObjectMeta: meta}, nil
		}
	}
	meta.Annotations = map[string]string{}
	for name, value := range found.GetAnnotations() {
		if strings.Contains(name, "stash.appscode.com/") {
			meta.Annotations[name] = value
		}
	}
	switch typed := found.(type) {
	case *appsv1.Deployment:
		return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Template: mounts(typed.Spec.Template)}}, nil
	case *appsv1.StatefulSet:
		return &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: mounts(typed.Spec.Template)}}, nil
	case *appsv1.DaemonSet:
		return &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: mounts(typed.Spec.Template)}}, nil
	case *corev1.PersistentVolumeClaim:
		return &corev1.PersistentVolumeClaim{ObjectMeta: meta}, nil
	}
	found.SetManagedFields(nil)
	return object, nil
}

// mounts is the part of a pod template that paths and mounts are taken from.
func mounts(template corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	kept := corev1.PodTemplateSpec{}
	for _, volume := range template.Spec.Volumes {
		if claim := volume.PersistentVolumeClaim; claim != nil {
			source := corev1.VolumeSource{PersistentVolumeClaim: claim}
			kept.Spec.Volumes = append(kept.Spec.Volumes, corev1.Volume{Name: volume.Name, VolumeSource: source})
		}
	}
	for _, container := range template.Spec.Containers {
		kept.Spec.Containers = append(kept.Spec.Containers, corev1.Container{VolumeMounts: container.VolumeMounts})
	}
	return kept
}

func template(object client.Object) *corev1.PodTemplateSpec {
	switch typed := object.(type) {
	case *appsv1.Deployment:
		return &typed.Spec.Template
	case *appsv1.StatefulSet:
		return &typed.Spec.Template
	case *appsv1.DaemonSet:
		return &typed.Spec.Template
	}
	return nil
}

// same tells whether nothing that the reconciler reads has changed.
func same(before, after client.Object) bool {
	return before.GetUID() == after.GetUID() &&
		reflect.DeepEqual(before.GetAnnotations(), after.GetAnnotations()) &&
		reflect.DeepEqual(template(before), template(after))
}
