package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
)

// stored is the pod as the API server has it after it was written, admitted, and read from etcd.
func stored(text []byte) (*v1.Pod, error) {
	// Decoding through the codec defaults the pod and converts it to the internal version, as for any request.
	object, _, err := legacyscheme.Codecs.UniversalDecoder().Decode(text, nil, &core.Pod{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	internal := object.(*core.Pod)
	if internal.Spec.ServiceAccountName == "" {
		internal.Spec.ServiceAccountName = "default" // the admission plugin ServiceAccount
	}
	pod := &v1.Pod{}
	if err := legacyscheme.Scheme.Convert(internal, pod, nil); err != nil {
		return nil, err
	}
	legacyscheme.Scheme.Default(pod) // as whenever a pod is read from etcd
	pod.SetGroupVersionKind(v1.SchemeGroupVersion.WithKind("Pod"))
	return pod, nil
}

func expand(spec json.RawMessage) (any, error) {
	text := append([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":`), spec...)
	pod, err := stored(append(text, '}'))
	if err != nil {
		return nil, err
	}
	return pod.Spec, nil
}

func serve(pod json.RawMessage) (any, error) {
	return stored(pod)
}

// view decodes a pod so strictly that an unknown or a duplicate field is an error, and passes it through JSON and
// through protobuf, from which the same must come back: no list and an empty one are the same to Kubernetes.
// Quantities in the answer are in canonical form.
func view(text json.RawMessage) (any, error) {
	pod, err := decodeStrictly(text)
	if err != nil {
		return map[string]string{"error": err.Error()}, nil
	}
	encoded, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	again, err := decodeStrictly(encoded)
	if err != nil {
		return map[string]string{"error": fmt.Sprintf("encoded again: %v", err)}, nil
	}
	serializer := protobuf.NewSerializer(legacyscheme.Scheme, legacyscheme.Scheme)
	buffer := &bytes.Buffer{}
	if err := serializer.Encode(again, buffer); err != nil {
		return nil, err
	}
	object, _, err := serializer.Decode(buffer.Bytes(), nil, &v1.Pod{})
	if err != nil {
		return nil, err
	}
	if !equality.Semantic.DeepEqual(pod, again) || !equality.Semantic.DeepEqual(pod, object) {
		return map[string]string{"error": "JSON or protobuf makes another pod of it"}, nil
	}
	if err := canonicalizeQuantities(reflect.ValueOf(object)); err != nil {
		return nil, err
	}
	return map[string]any{"pod": object}, nil
}

func decodeStrictly(text []byte) (*v1.Pod, error) {
	strict := kjson.NewSerializerWithOptions(
		kjson.DefaultMetaFactory, legacyscheme.Scheme, legacyscheme.Scheme, kjson.SerializerOptions{Strict: true})
	object, kind, err := strict.Decode(text, nil, &v1.Pod{})
	if err != nil {
		return nil, err
	}
	pod, ok := object.(*v1.Pod)
	if !ok {
		return nil, fmt.Errorf("%s is no Pod", kind)
	}
	return pod, nil
}

var quantityType = reflect.TypeFor[resource.Quantity]()

// canonicalizeQuantities replaces every quantity, which keeps the spelling that it was read in, by its canonical form.
func canonicalizeQuantities(value reflect.Value) error {
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !value.IsNil() {
			return canonicalizeQuantities(value.Elem())
		}
	case reflect.Struct:
		if value.Type() == quantityType {
			canonical, err := canonicalOf(value.Interface().(resource.Quantity))
			if err == nil {
				value.Set(reflect.ValueOf(canonical))
			}
			return err
		}
		for index := range value.NumField() {
			if value.Field(index).CanSet() {
				if err := canonicalizeQuantities(value.Field(index)); err != nil {
					return err
				}
			}
		}
	case reflect.Slice:
		for index := range value.Len() {
			if err := canonicalizeQuantities(value.Index(index)); err != nil {
				return err
			}
		}
	case reflect.Map:
		if value.Type().Elem() != quantityType {
			return nil
		}
		for _, key := range value.MapKeys() {
			canonical, err := canonicalOf(value.MapIndex(key).Interface().(resource.Quantity))
			if err != nil {
				return err
			}
			value.SetMapIndex(key, reflect.ValueOf(canonical))
		}
	}
	return nil
}
