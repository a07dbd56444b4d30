// Command controller does on controller-runtime what the operator does: watch annotated targets, resolve their
// blueprint, and apply a Repository and a BackupConfiguration for each by server-side apply.
//
// Written to be as good as controller-runtime lets it be: built-in kinds as protobuf, a transform that keeps only what
// is read, no write for what is as it should be already, no limit by the client, the priority queue with the fan-out of
// a blueprint behind what a person just did. Not done, unlike the operator: statuses of blueprints, claims on
// locations, checks of Secrets, overrides by annotation, several blueprints for a target.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const name = "autobackup"

var kinds = []Kind{
	{"Deployment", "apps/v1", "deploy", func() client.Object { return &appsv1.Deployment{} }},
	{"StatefulSet", "apps/v1", "sts", func() client.Object { return &appsv1.StatefulSet{} }},
	{"DaemonSet", "apps/v1", "ds", func() client.Object { return &appsv1.DaemonSet{} }},
	{"PersistentVolumeClaim", "v1", "pvc", func() client.Object { return &corev1.PersistentVolumeClaim{} }},
}

type queue = workqueue.TypedRateLimitingInterface[Key]

func main() {
	kubeconfig := flag.String("kubeconfig-file", "", "how to reach the API server")
	workers := flag.Int("workers", 8, "targets reconciled at the same time")
	health := flag.String("health-address", "", "where /readyz answers")
	address := flag.String("metrics-address", "", "where /metrics answers")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	if err := run(*kubeconfig, *workers, *health, *address); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(kubeconfig string, workers int, health, address string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	addToScheme(scheme)
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Cache:                  cache.Options{DefaultTransform: keep},
		Metrics:                metricsserver.Options{BindAddress: address},
		HealthProbeBindAddress: health,
	})
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if err := manager.GetFieldIndexer().IndexField(context.Background(), kind.New(), "blueprint", asked); err != nil {
			return err
		}
	}
	reconciler := &Reconciler{
		client:   manager.GetClient(),
		recorder: manager.GetEventRecorder(name),
		kinds:    map[string]Kind{},
		configured: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "autobackup_targets", Help: "Targets by state.",
		}, []string{"kind", "state"}),
		done:    map[Key]bool{},
		written: map[string]written{},
	}
	metrics.Registry.MustRegister(reconciler.configured)

	building := builder.TypedControllerManagedBy[Key](manager).Named(name).
		WithOptions(controller.TypedOptions[Key]{MaxConcurrentReconciles: workers})
	for _, kind := range kinds {
		reconciler.kinds[kind.Name] = kind
		building = building.Watches(kind.New(), handler.TypedEnqueueRequestsFromMapFunc(targetOf(kind)),
			builder.WithPredicates(predicate.Funcs{
				CreateFunc: func(e event.CreateEvent) bool { return asks(e.Object) },
				UpdateFunc: func(e event.UpdateEvent) bool {
					return (asks(e.ObjectOld) || asks(e.ObjectNew)) && !same(e.ObjectOld, e.ObjectNew)
				},
				DeleteFunc: func(e event.DeleteEvent) bool { return asks(e.Object) },
			}))
	}
	building = building.
		Watches(&BackupBlueprint{}, fanOut(manager.GetClient())).
		Watches(&Repository{}, handler.TypedEnqueueRequestsFromMapFunc(targetOfMade)).
		Watches(&BackupConfiguration{}, handler.TypedEnqueueRequestsFromMapFunc(targetOfMade))
	if err := building.Complete(reconciler); err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("caches", cacheSynced(manager.GetCache())); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func asks(object client.Object) bool {
	return object.GetAnnotations()[blueprintAnnotation] != ""
}

// asked indexes targets by the blueprint that they ask for.
func asked(object client.Object) []string {
	if !asks(object) {
		return nil
	}
	return []string{object.GetAnnotations()[blueprintAnnotation]}
}

func targetOf(kind Kind) handler.TypedMapFunc[client.Object, Key] {
	return func(_ context.Context, object client.Object) []Key {
		return []Key{{kind.Name, object.GetNamespace(), object.GetName()}}
	}
}

// targetOfMade finds the target of one of the objects that were made for it.
func targetOfMade(_ context.Context, object client.Object) []Key {
	labels := object.GetLabels()
	if labels[managedBy] != product {
		return nil
	}
	return []Key{{labels[prefix+"target-kind"], object.GetNamespace(), labels[prefix+"target-name"]}}
}

// fanOut queues all targets of a blueprint, behind everything that comes one by one.
func fanOut(reader client.Reader) handler.TypedEventHandler[client.Object, Key] {
	enqueue := func(ctx context.Context, blueprint client.Object, into queue) {
		options := priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}
		for _, kind := range kinds {
			for _, key := range targets(ctx, reader, kind, blueprint.GetName()) {
				if prioritized, ok := into.(priorityqueue.PriorityQueue[Key]); ok {
					prioritized.AddWithOpts(options, key)
				} else {
					into.Add(key)
				}
			}
		}
	}
	return handler.TypedFuncs[client.Object, Key]{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, into queue) { enqueue(ctx, e.Object, into) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, into queue) {
			if e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() {
				enqueue(ctx, e.ObjectNew, into)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, into queue) { enqueue(ctx, e.Object, into) },
	}
}
