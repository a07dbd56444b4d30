// Command floor asks for all Deployments as an informer does and throws the bytes away: what nobody can be faster than.
//
// Without -since it reads a streaming list up to the mark that ends the initial events; with it, a watch from that
// revision on, up to the text -until.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"autobackup.dev/peers/contract"
)

const partial = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

var accepts = map[string]string{
	"json":              "application/json",
	"metadata-json":     "application/json" + partial,
	"protobuf":          "application/vnd.kubernetes.protobuf;stream=watch",
	"metadata-protobuf": "application/vnd.kubernetes.protobuf" + partial,
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	encoding := flag.String("encoding", "metadata-json", "json, metadata-json, protobuf or metadata-protobuf")
	since := flag.String("since", "", "watch from this revision on, without a list")
	until := flag.String("until", "k8s.io/initial-events-end", "the text that ends what is to be read")
	flag.Parse()
	if err := run(*kubeconfig, accepts[*encoding], *since, *until); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, accept, since, until string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	query := url.Values{"watch": {"true"}, "allowWatchBookmarks": {"true"}, "timeoutSeconds": {"600"}}
	if since == "" {
		query.Set("sendInitialEvents", "true")
		query.Set("resourceVersionMatch", "NotOlderThan")
	} else {
		query.Set("resourceVersion", since)
	}
	request, err := http.NewRequest(http.MethodGet, config.Host+"/apis/apps/v1/deployments?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("Accept-Encoding", "identity")

	said := contract.Begin()
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", answer.Status)
	}
	read, err := discard(answer, []byte(until))
	if err != nil {
		return err
	}
	said.Ready(0, read)
	return nil
}

// discard reads until it has seen the text, wherever the borders of the pieces lie.
func discard(answer *http.Response, until []byte) (int64, error) {
	piece := make([]byte, 256*1024)
	var read int64
	kept := 0
	for {
		count, err := answer.Body.Read(piece[kept:])
		read += int64(count)
		seen := piece[:kept+count]
		if bytes.Contains(seen, until) {
			return read, nil
		}
		if err != nil {
			return read, fmt.Errorf("the stream ended before %q, after %d bytes and %.300q: %w", until, read, seen, err)
		}
		kept = copy(piece, seen[max(0, len(seen)-len(until)):])
	}
}
