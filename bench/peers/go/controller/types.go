package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The fields of Stash's kinds that the benchmark's blueprint and the objects made from it have.

var (
	alpha = schema.GroupVersion{Group: "stash.appscode.com", Version: "v1alpha1"}
	beta  = schema.GroupVersion{Group: "stash.appscode.com", Version: "v1beta1"}
)

type S3 struct {
	Endpoint string `json:"endpoint,omitempty"`
	Bucket   string `json:"bucket,omitempty"`
	Prefix   string `json:"prefix,omitempty"`
}

type Backend struct {
	S3                *S3    `json:"s3,omitempty"`
	StorageSecretName string `json:"storageSecretName,omitempty"`
}

type RetentionPolicy struct {
	Name     string `json:"name"`
	KeepLast int64  `json:"keepLast,omitempty"`
	Prune    bool   `json:"prune"`
}

type Repository struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              RepositorySpec `json:"spec"`
}

type RepositorySpec struct {
	Backend Backend `json:"backend"`
}

type BackupConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              BackupConfigurationSpec `json:"spec"`
}

type BackupConfigurationSpec struct {
	Driver             string                      `json:"driver,omitempty"`
	Repository         corev1.LocalObjectReference `json:"repository"`
	Schedule           string                      `json:"schedule,omitempty"`
	Target             *Target                     `json:"target,omitempty"`
	RetentionPolicy    RetentionPolicy             `json:"retentionPolicy"`
	BackupHistoryLimit *int32                      `json:"backupHistoryLimit,omitempty"`
	RuntimeSettings    *runtime.RawExtension       `json:"runtimeSettings,omitempty"`
}

type Target struct {
	Ref          TargetRef            `json:"ref"`
	Paths        []string             `json:"paths,omitempty"`
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`
}

type TargetRef struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
}

type BackupBlueprint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              BackupBlueprintSpec `json:"spec"`
}

type BackupBlueprintSpec struct {
	Backend            Backend               `json:"backend"`
	Schedule           string                `json:"schedule,omitempty"`
	RetentionPolicy    RetentionPolicy       `json:"retentionPolicy"`
	BackupHistoryLimit *int32                `json:"backupHistoryLimit,omitempty"`
	RuntimeSettings    *runtime.RawExtension `json:"runtimeSettings,omitempty"`
}

// List is a list of any of them.
type List[T any] struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []T `json:"items"`
}

type (
	RepositoryList          struct{ List[Repository] }
	BackupConfigurationList struct{ List[BackupConfiguration] }
	BackupBlueprintList     struct{ List[BackupBlueprint] }
)

func addToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(alpha, &Repository{}, &RepositoryList{})
	scheme.AddKnownTypes(beta, &BackupConfiguration{}, &BackupConfigurationList{})
	scheme.AddKnownTypes(beta, &BackupBlueprint{}, &BackupBlueprintList{})
	metav1.AddToGroupVersion(scheme, alpha)
	metav1.AddToGroupVersion(scheme, beta)
}

func (b Backend) copied() Backend {
	if b.S3 != nil {
		s3 := *b.S3
		b.S3 = &s3
	}
	return b
}

func (r *Repository) DeepCopyObject() runtime.Object {
	out := &Repository{TypeMeta: r.TypeMeta, ObjectMeta: *r.ObjectMeta.DeepCopy()}
	out.Spec.Backend = r.Spec.Backend.copied()
	return out
}

func (c *BackupConfiguration) DeepCopyObject() runtime.Object {
	out := &BackupConfiguration{TypeMeta: c.TypeMeta, ObjectMeta: *c.ObjectMeta.DeepCopy(), Spec: c.Spec}
	out.Spec.BackupHistoryLimit = copied(c.Spec.BackupHistoryLimit)
	out.Spec.RuntimeSettings = c.Spec.RuntimeSettings.DeepCopy()
	if c.Spec.Target != nil {
		target := *c.Spec.Target
		target.Paths = append([]string(nil), target.Paths...)
		target.VolumeMounts = append([]corev1.VolumeMount(nil), target.VolumeMounts...)
		out.Spec.Target = &target
	}
	return out
}

func (b *BackupBlueprint) DeepCopyObject() runtime.Object {
	out := &BackupBlueprint{TypeMeta: b.TypeMeta, ObjectMeta: *b.ObjectMeta.DeepCopy(), Spec: b.Spec}
	out.Spec.Backend = b.Spec.Backend.copied()
	out.Spec.BackupHistoryLimit = copied(b.Spec.BackupHistoryLimit)
	out.Spec.RuntimeSettings = b.Spec.RuntimeSettings.DeepCopy()
	return out
}

func copied[T any](value *T) *T {
	if value == nil {
		return nil
	}
	out := *value
	return &out
}

func copyItems[T any, P interface {
	*T
	runtime.Object
}](list List[T]) List[T] {
	items := make([]T, len(list.Items))
	for index := range list.Items {
		items[index] = *(P(&list.Items[index]).DeepCopyObject().(P))
	}
	list.Items = items
	return list
}

func (l *RepositoryList) DeepCopyObject() runtime.Object {
	return &RepositoryList{copyItems[Repository](l.List)}
}

func (l *BackupConfigurationList) DeepCopyObject() runtime.Object {
	return &BackupConfigurationList{copyItems[BackupConfiguration](l.List)}
}

func (l *BackupBlueprintList) DeepCopyObject() runtime.Object {
	return &BackupBlueprintList{copyItems[BackupBlueprint](l.List)}
}
