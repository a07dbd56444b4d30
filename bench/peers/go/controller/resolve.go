package main

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	managedBy      = "app.kubernetes.io/managed-by"
	product        = "autobackup"
	prefix         = "autobackup.stash.appscode.com/"
	driver         = "Restic"
	claimMountPath = "/stash-data"
)

// Kind is what the controller knows of a kind of target.
type Kind struct {
	Name, APIVersion, Short string
	New                     func() client.Object
}

// Key names a target: what the queue holds.
type Key struct {
	Kind, Namespace, Name string
}

func (k Key) String() string {
	return k.Kind + "/" + k.Namespace + "/" + k.Name
}

func (k Key) short(kind Kind) string {
	return kind.Short + "-" + k.Name
}

// resolve makes both objects of a target out of its blueprint.
func resolve(kind Kind, key Key, target client.Object, blueprint *BackupBlueprint) (*Repository, *BackupConfiguration) {
	name := key.short(kind)
	labels := map[string]string{
		managedBy:              product,
		prefix + "blueprint":   blueprint.Name,
		prefix + "target-kind": key.Kind,
		prefix + "target-name": key.Name,
	}
	annotations := map[string]string{prefix + "blueprint": blueprint.Name, prefix + "target": key.String()}

	repository := &Repository{}
	repository.SetGroupVersionKind(alpha.WithKind("Repository"))
	repository.ObjectMeta = metav1.ObjectMeta{
		Name: name, Namespace: key.Namespace, Labels: labels, Annotations: annotations,
	}
	repository.Spec.Backend = blueprint.Spec.Backend.copied()
	if s3 := repository.Spec.Backend.S3; s3 != nil {
		variables := strings.NewReplacer(
			"${TARGET_NAMESPACE}", key.Namespace,
			"${TARGET_KIND}", strings.ToLower(key.Kind),
			"${TARGET_NAME}", key.Name,
		)
		s3.Endpoint = variables.Replace(s3.Endpoint)
		s3.Bucket = variables.Replace(s3.Bucket)
		s3.Prefix = variables.Replace(s3.Prefix)
	}

	configuration := &BackupConfiguration{}
	configuration.SetGroupVersionKind(beta.WithKind("BackupConfiguration"))
	owned := map[string]string{prefix + "target-uid": string(target.GetUID())}
	for name, value := range annotations {
		owned[name] = value
	}
	controller := true
	configuration.ObjectMeta = metav1.ObjectMeta{
		Name: name, Namespace: key.Namespace, Labels: labels, Annotations: owned,
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: kind.APIVersion, Kind: key.Kind, Name: key.Name, UID: target.GetUID(), Controller: &controller,
		}},
	}
	configuration.Spec = BackupConfigurationSpec{
		Driver:             driver,
		Schedule:           blueprint.Spec.Schedule,
		RetentionPolicy:    blueprint.Spec.RetentionPolicy,
		BackupHistoryLimit: blueprint.Spec.BackupHistoryLimit,
		RuntimeSettings:    blueprint.Spec.RuntimeSettings,
		Target:             &Target{Ref: TargetRef{APIVersion: kind.APIVersion, Kind: key.Kind, Name: key.Name}},
	}
	configuration.Spec.Repository.Name = name
	fillMounts(configuration.Spec.Target, target)
	return repository, configuration
}

// fillMounts takes every mount of a volume with a claim behind it, each volume once.
func fillMounts(into *Target, target client.Object) {
	pods := template(target)
	if pods == nil {
		return
	}
	persistent := map[string]bool{}
	for _, volume := range pods.Spec.Volumes {
		persistent[volume.Name] = true
	}
	for _, container := range pods.Spec.Containers {
		for _, mount := range container.VolumeMounts {
			if persistent[mount.Name] {
				into.Paths = append(into.Paths, mount.MountPath)
				mount.ReadOnly = false
				into.VolumeMounts = append(into.VolumeMounts, mount)
				persistent[mount.Name] = false
			}
		}
	}
}
