package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
)

type object = map[string]any

// pods makes pods out of one, and signs them in spec form over the exact spec.
type pods struct {
	template   []byte
	key        *ecdsa.PrivateKey
	mutex      sync.Mutex
	signatures map[string]string
	lists      map[string][]byte
}

func newPods(template string) *pods {
	return &pods{template: must(os.ReadFile(template)), signatures: map[string]string{}, lists: map[string][]byte{}}
}

// pod makes pod number i; unless its signature is to be fresh, it always has the same one.
func (p *pods) pod(i int, distinct, fresh bool) object {
	pod := object{}
	must(0, json.Unmarshal(p.template, &pod))
	metadata := pod["metadata"].(object)
	metadata["name"] = fmt.Sprintf("pod-%05d", i)
	uid := i
	if distinct {
		uid += 1000000
		container := pod["spec"].(object)["containers"].([]any)[0].(object)
		container["args"] = []any{"--id", strconv.Itoa(i)}
	}
	metadata["uid"] = fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", uid)
	metadata["resourceVersion"] = strconv.Itoa(1000 + i)
	annotations, _ := metadata["annotations"].(object)
	if annotations == nil {
		annotations = object{}
		metadata["annotations"] = annotations
	}
	id := metadata["uid"].(string)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if fresh || p.signatures[id] == "" {
		if p.key == nil {
			p.key = loadKey("signing")
		}
		p.signatures[id] = sign(pod["spec"], p.key)
	}
	annotations["kubelet-proxy.io/signature"] = p.signatures[id]
	return pod
}

// list answers a list of n pods, which is made once.
func (p *pods) list(n int, distinct bool) []byte {
	id := fmt.Sprint(n, distinct)
	p.mutex.Lock()
	made, ok := p.lists[id]
	p.mutex.Unlock()
	if ok {
		return made
	}
	items := make([]any, n)
	for i := range items {
		items[i] = p.pod(i, distinct, false)
	}
	made = must(json.Marshal(object{"kind": "PodList", "apiVersion": "v1", "metadata": object{"resourceVersion": "99999"}, "items": items}))
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.lists[id] = made
	return made
}

func sign(spec any, key *ecdsa.PrivateKey) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // RFC 8785 does not escape < > &
	must(0, encoder.Encode(spec))
	digest := sha256.Sum256(bytes.TrimRight(text.Bytes(), "\n"))
	return base64.StdEncoding.EncodeToString(must(key.Sign(rand.Reader, digest[:], crypto.SHA256)))
}
