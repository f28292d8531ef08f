// Command hostile is a kubelet as far as pods go, made of Kubernetes' own client code: reflectors as in
// pkg/kubelet/config/apiserver.go, and the requests of the status manager and of the mirror client. It obeys commands on
// standard input, one JSON object a line, and prints what it holds after every change, one JSON object a line.
//
//	{"id", "do": "start", "server", "protobuf"}            begins to list and watch; {"id", "store": [pod…]} per change
//	{"id", "do": "stop"}                                   {"id", "stopped": true}
//	{"id", "do": "get", "namespace", "name"}               {"id", "answer": pod} or {"id", "refused": message}
//	{"id", "do": "patch", "namespace", "name", "body"}     the same, of a strategic merge patch of the status
//	{"id", "do": "delete", "namespace", "name"}            the same
//	{"id", "do": "create", "namespace", "body"}            the same, of a mirror pod
//	{"id", "do": "follow", "resource", "namespace", "name"} lists and watches; {"id", "of", "objects": […]} per change
//	{"id", "do": "normalize", "body": [pod…]}              {"id", "store": [pod…]}: as this program prints them
//
// Answers to get, patch, delete, create and normalize have "of", the command's "of".
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// A kubelet waits 0.8 to 30 s before it tries again. Nothing else about its reflector is different here.
const backoff = 20 * time.Millisecond

type command struct {
	ID        string          `json:"id"`
	Of        string          `json:"of"`
	Do        string          `json:"do"`
	Server    string          `json:"server"`
	Protobuf  bool            `json:"protobuf"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Resource  string          `json:"resource"`
	Body      json.RawMessage `json:"body"`
}

type report struct {
	ID      string     `json:"id"`
	Of      string     `json:"of,omitempty"`
	Store   *[]*v1.Pod `json:"store,omitempty"`
	Failure string     `json:"failure,omitempty"`
	Answer  *v1.Pod    `json:"answer,omitempty"`
	Refused string     `json:"refused,omitempty"`
	Stopped bool       `json:"stopped,omitempty"`

	Objects *[]interface{} `json:"objects,omitempty"`
}

type node struct {
	client corev1.CoreV1Interface
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

var (
	output      = json.NewEncoder(os.Stdout)
	outputMutex sync.Mutex
	nodeName    = flag.String("node", "", "name of the node")
	caFile      = flag.String("ca", "", "certificate authority of the server")
	certFile    = flag.String("cert", "", "client certificate")
	keyFile     = flag.String("key", "", "its key")
)

func write(r report) {
	outputMutex.Lock()
	defer outputMutex.Unlock()
	if err := output.Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(c command) (*node, error) {
	config := &rest.Config{
		Host:            c.Server,
		QPS:             -1,
		TLSClientConfig: rest.TLSClientConfig{CAFile: *caFile, CertFile: *certFile, KeyFile: *keyFile},
	}
	// cmd/kubelet/app/server.go, setContentTypeForClient; protobuf is the kubelet's default.
	config.ContentType = runtime.ContentTypeJSON
	if c.Protobuf {
		config.ContentType = runtime.ContentTypeProtobuf
		config.AcceptContentTypes = strings.Join([]string{runtime.ContentTypeProtobuf, runtime.ContentTypeJSON}, ",")
	}
	client, err := corev1.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	selector := fields.OneTermEqualSelector("spec.nodeName", *nodeName)
	lw := cache.NewListWatchFromClient(client.RESTClient(), "pods", metav1.NamespaceAll, selector)
	// The store of pkg/kubelet/config/apiserver.go: after each change the whole set of pods goes to the kubelet.
	store := cache.NewUndeltaStore(func(objects []interface{}) {
		pods := []*v1.Pod{}
		for _, object := range objects {
			pods = append(pods, object.(*v1.Pod))
		}
		write(report{ID: c.ID, Store: &pods})
	}, cache.MetaNamespaceKeyFunc)
	reflector := cache.NewReflectorWithOptions(lw, &v1.Pod{}, store, cache.ReflectorOptions{
		Name:    c.ID,
		Backoff: &wait.Backoff{Duration: backoff, Factor: 1, Steps: 1},
	})
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{client: client, ctx: ctx, cancel: cancel}
	n.done.Go(func() { reflector.RunWithContext(ctx) })
	return n, nil
}

// The informers of pkg/kubelet/kubelet.go (services) and pkg/kubelet/util/manager/watch_based_manager.go (the others).
func (n *node) follow(c command) error {
	var expected runtime.Object
	switch c.Resource {
	case "services":
		expected = &v1.Service{}
	case "configmaps":
		expected = &v1.ConfigMap{}
	case "secrets":
		expected = &v1.Secret{}
	default:
		return fmt.Errorf("there is no resource %q", c.Resource)
	}
	selector := fields.Everything()
	if c.Name != "" {
		selector = fields.OneTermEqualSelector("metadata.name", c.Name)
	}
	lw := cache.NewListWatchFromClient(n.client.RESTClient(), c.Resource, c.Namespace, selector)
	store := cache.NewUndeltaStore(func(objects []interface{}) {
		if objects == nil {
			objects = []interface{}{}
		}
		write(report{ID: c.ID, Of: c.Of, Objects: &objects})
	}, cache.MetaNamespaceKeyFunc)
	reflector := cache.NewReflectorWithOptions(lw, expected, store, cache.ReflectorOptions{
		Name:    c.ID + "/" + c.Of,
		Backoff: &wait.Backoff{Duration: backoff, Factor: 1, Steps: 1},
	})
	n.done.Go(func() { reflector.RunWithContext(n.ctx) })
	return nil
}

func (n *node) ask(ctx context.Context, c command) (*v1.Pod, error) {
	pods := n.client.Pods(c.Namespace)
	switch c.Do {
	case "get":
		return pods.Get(ctx, c.Name, metav1.GetOptions{})
	case "patch":
		return pods.Patch(ctx, c.Name, types.StrategicMergePatchType, c.Body, metav1.PatchOptions{}, "status")
	case "delete":
		return nil, pods.Delete(ctx, c.Name, metav1.DeleteOptions{})
	case "create":
		pod := &v1.Pod{}
		if err := json.Unmarshal(c.Body, pod); err != nil {
			return nil, err
		}
		return pods.Create(ctx, pod, metav1.CreateOptions{})
	}
	return nil, fmt.Errorf("there is no command %q", c.Do)
}

func main() {
	flag.Parse()
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	nodes := map[string]*node{}
	input := bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		c := command{}
		if err := json.Unmarshal(line, &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		n := nodes[c.ID]
		switch {
		case c.Do == "normalize":
			pods := []*v1.Pod{}
			if err := json.Unmarshal(c.Body, &pods); err != nil {
				write(report{ID: c.ID, Of: c.Of, Refused: err.Error()})
				continue
			}
			write(report{ID: c.ID, Of: c.Of, Store: &pods})
		case c.Do == "start":
			started, err := start(c)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			nodes[c.ID] = started
		case n == nil:
			fmt.Fprintf(os.Stderr, "there is no node %q\n", c.ID)
			os.Exit(1)
		case c.Do == "stop":
			delete(nodes, c.ID)
			go func() {
				n.cancel()
				n.done.Wait()
				write(report{ID: c.ID, Stopped: true})
			}()
		case c.Do == "follow":
			if err := n.follow(c); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		default:
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				pod, err := n.ask(ctx, c)
				if err != nil {
					write(report{ID: c.ID, Of: c.Of, Refused: err.Error()})
					return
				}
				if pod == nil {
					pod = &v1.Pod{}
				}
				write(report{ID: c.ID, Of: c.Of, Answer: pod})
			}()
		}
	}
}
