// Command kubernetes answers, with Kubernetes' own code, the questions that this repository answers in TypeScript.
// It reads a JSON array from standard input and prints one of the answers:
//
//	expand     pod specs -> the specs as an API server hands them to a kubelet: defaulted, converted, and with the
//	           default service account, but without the pod-level resources that depend on the version
//	serve      pods -> the whole pods as an API server hands them out: the same for metadata and status
//	view       pods -> the pods as a kubelet that decodes strictly holds them, {"pod"} or {"error"}
//	review     objects of the authentication.k8s.io and authorization.k8s.io APIs -> base64 of what a kubelet sends for
//	           them: the protobuf encoding with its envelope
//	image      image references -> {"name", "tag", "digest", "pullPolicy"}; name is empty if they do not parse
//	quantity   quantities -> {"canonical", "amount", "nano"} or {"error"}
//	compare    pairs of quantities -> -1, 0 or 1
//	yaml       texts -> {"documents"}, the JSON texts of the objects that kubectl reads, or {"error"}
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/authentication/install"
	_ "k8s.io/kubernetes/pkg/apis/authorization/install"
	"k8s.io/kubernetes/pkg/util/parsers"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func image(reference json.RawMessage) (any, error) {
	var text string
	if err := json.Unmarshal(reference, &text); err != nil {
		return nil, err
	}
	name, tag, digest, err := parsers.ParseImageName(text)
	if err != nil {
		name, tag, digest = "", "", ""
	}
	policy := v1.PullIfNotPresent
	if tag == "latest" {
		policy = v1.PullAlways
	}
	return map[string]any{"name": name, "tag": tag, "digest": digest, "pullPolicy": policy}, nil
}

func review(object json.RawMessage) (any, error) {
	decoded, kind, err := legacyscheme.Codecs.UniversalDeserializer().Decode(object, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", object, err)
	}
	protobuf, _ := runtime.SerializerInfoForMediaType(legacyscheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	encoded, err := runtime.Encode(legacyscheme.Codecs.EncoderForVersion(protobuf.Serializer, kind.GroupVersion()), decoded)
	return base64.StdEncoding.EncodeToString(encoded), err
}

func main() {
	answers := map[string]func(json.RawMessage) (any, error){
		"expand":   expand,
		"serve":    serve,
		"view":     view,
		"review":   review,
		"image":    image,
		"quantity": quantity,
		"compare":  compare,
		"yaml":     readYAML,
	}
	if len(os.Args) != 2 || answers[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: kubernetes expand|serve|view|review|image|quantity|compare|yaml"))
	}
	questions := []json.RawMessage{}
	fail(json.NewDecoder(os.Stdin).Decode(&questions))
	results := []any{}
	for _, question := range questions {
		result, err := answers[os.Args[1]](question)
		fail(err)
		results = append(results, result)
	}
	fail(json.NewEncoder(os.Stdout).Encode(results))
}
