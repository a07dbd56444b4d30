// Command informer keeps a cache of all Deployments with one of client-go's informers, and tells of it by the contract.
//
// Each object's key goes through a work queue, as in a controller; what is done with it is nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"

	"autobackup.dev/peers/contract"
)

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	kind := flag.String("kind", "metadata", "typed, typed-json, metadata or dynamic")
	namespace := flag.String("namespace", metav1.NamespaceAll, "only this namespace")
	flag.Parse()
	if err := run(*kubeconfig, *kind, *namespace); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, kind, namespace string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1 // no limit by the client
	informer, err := build(config, kind, namespace)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	said := contract.Begin()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	go drain(queue)
	handle := func(object any) {
		if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = last.Obj
		}
		found, err := meta.Accessor(object)
		if err != nil {
			panic(err)
		}
		queue.Add(found.GetNamespace() + "/" + found.GetName())
		said.Event(found.GetName(), found.GetAnnotations())
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    handle,
		UpdateFunc: func(_, object any) { handle(object) },
		DeleteFunc: handle,
	})
	if err != nil {
		return err
	}
	go informer.RunWithContext(ctx)
	if !cache.WaitFor(ctx, "", registration.HasSyncedChecker()) {
		return fmt.Errorf("the informer did not sync")
	}
	said.Ready(len(informer.GetStore().ListKeys()), 0)
	said.Serve()
	return nil
}

func drain(queue workqueue.TypedRateLimitingInterface[string]) {
	for {
		key, shutdown := queue.Get()
		if shutdown {
			return
		}
		queue.Forget(key)
		queue.Done(key)
	}
}

func build(config *rest.Config, kind, namespace string) (cache.SharedIndexInformer, error) {
	switch kind {
	case "typed", "typed-json":
		if kind == "typed" {
			config.ContentType = runtime.ContentTypeProtobuf
			config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
		} else {
			config.ContentType = runtime.ContentTypeJSON
			config.AcceptContentTypes = runtime.ContentTypeJSON
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
		informer := factory.Apps().V1().Deployments().Informer()
		return informer, nil
	case "metadata":
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		factory := metadatainformer.NewFilteredSharedInformerFactory(client, 0, namespace, nil)
		return factory.ForResource(deployments).Informer(), nil
	case "dynamic":
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, namespace, nil)
		return factory.ForResource(deployments).Informer(), nil
	}
	return nil, fmt.Errorf("there is no kind %q of informer", kind)
}
