package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

var configMaps = sync.OnceValue(func() (all []object) {
	must(0, json.Unmarshal(must(os.ReadFile(filepath.Join("sets", "configmaps.json"))), &all))
	return all
})

// serveConfigMap is the watch of one ConfigMap of sets/configmaps.json, as a kubelet opens it: the object, the end of the
// initial events, and then events for which `rate` is that of all n watches together, each in its turn.
func serveConfigMap(w http.ResponseWriter, r *http.Request, selector string, n, rounds, rate int) {
	name := strings.TrimPrefix(selector, "metadata.name=")
	for i, configMap := range configMaps() {
		if configMap["metadata"].(object)["name"] != name {
			continue
		}
		send := func(kind string, changed object) {
			w.Write(append(must(json.Marshal(watchEvent{kind, changed})), '\n'))
		}
		send("ADDED", configMap)
		send("BOOKMARK", object{"kind": "ConfigMap", "apiVersion": "v1", "metadata": object{
			"resourceVersion": "99999", "annotations": object{"k8s.io/initial-events-end": "true"}}})
		w.(http.Flusher).Flush()
		// The one that is kept is not changed.
		metadata := maps.Clone(configMap["metadata"].(object))
		configMap = maps.Clone(configMap)
		configMap["metadata"] = metadata
		e := newEvent(configMap)
		turn := time.Second * time.Duration(n) / time.Duration(rate)
		next := time.Now().Truncate(turn).Add(2*turn + time.Duration(i)*turn/time.Duration(n))
		for range rounds {
			time.Sleep(time.Until(next))
			next = next.Add(turn)
			e.send(w)
			w.(http.Flusher).Flush()
			if r.Context().Err() != nil {
				return
			}
		}
		return
	}
	http.NotFound(w, r)
}

// watchConfigMaps opens n watches at once, as a kubelet of that many pods does at its start, and takes the time until all
// have their content, and that of each event.
func watchConfigMaps(client *http.Client, base string, n, rounds, rate int) {
	start := time.Now()
	var mutex sync.Mutex
	var took []float64
	var content time.Duration
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			lines := bufio.NewReaderSize(open(client, fmt.Sprintf(
				"%s/api/v1/namespaces/default/configmaps?watch=true&fieldSelector=metadata.name%%3Dconfig-%d"+
					"&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&n=%d&rounds=%d&rate=%d",
				base, i, n, rounds, rate)), 1<<16)
			for first := true; ; first = false {
				line, err := lines.ReadBytes('\n')
				if err != nil {
					return
				}
				now := time.Now()
				nanoseconds, ok := sentAt(line)
				mutex.Lock()
				if ok {
					took = append(took, float64(now.UnixNano()-nanoseconds)/1e6)
				} else if first {
					content = max(content, now.Sub(start))
				}
				mutex.Unlock()
			}
		})
	}
	group.Wait()
	report("configmaps", took, fmt.Sprintf("content=%.3f", float64(content.Microseconds())/1000))
}
