// Command schema prints, as JSON, every Go type that a Pod's metadata, spec and status are made of, in the
// version of k8s.io/api that it is linked with. generate.sh runs it once per supported Kubernetes minor version
// and merges the outputs (see merge/).
//
// Go types are read by reflection because they say what OpenAPI does not: which fields are pointers, and so keep
// an explicit zero, and which are plain values, whose zero is the same as absence.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Field is one JSON field of a type.
type Field struct {
	Name string `json:"name"`
	// Type is a scalar (see scalar) or the name of another type; with List or Map, that of the elements.
	Type string `json:"type"`
	List bool   `json:"list,omitempty"`
	Map  bool   `json:"map,omitempty"`
	// Pointer says that an explicit zero differs from absence.
	Pointer bool `json:"pointer,omitempty"`
	// Always says that Go prints the field even if it is zero (no omitempty).
	Always bool `json:"always,omitempty"`
	// Key is the field that names an item of this list (patchMergeKey).
	Key string `json:"key,omitempty"`
}

var types = map[string][]Field{}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

// scalar names the types that are not read field by field, or returns "".
func scalar(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[resource.Quantity]():
		return "quantity"
	case reflect.TypeFor[intstr.IntOrString]():
		return "intOrString"
	case reflect.TypeFor[metav1.Time]():
		return "time"
	case reflect.TypeFor[metav1.FieldsV1]():
		return "any"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32:
		return "int32"
	case reflect.Int64:
		return "int64"
	case reflect.Float64:
		return "float64"
	}
	return ""
}

// element names the type of a value, a list's item or a map's value, and reads it if it is new.
func element(t reflect.Type, where string) string {
	if s := scalar(t); s != "" {
		return s
	}
	if t.Kind() != reflect.Struct {
		fail("%s: %s is of a kind that the table cannot hold", where, t)
	}
	read(t)
	return t.Name()
}

func fields(t reflect.Type) []Field {
	list := []Field{}
	for i := range t.NumField() {
		f := t.Field(i)
		where := t.Name() + "." + f.Name
		tag := strings.Split(f.Tag.Get("json"), ",")
		if f.Anonymous && tag[0] == "" {
			if f.Type.Kind() != reflect.Struct {
				fail("%s: embedded, but not a struct", where)
			}
			list = append(list, fields(f.Type)...)
			continue
		}
		if tag[0] == "-" || tag[0] == "" {
			fail("%s: no JSON name", where)
		}
		omits := false
		for _, option := range tag[1:] {
			switch option {
			case "omitempty", "omitzero":
				omits = true
			default:
				fail("%s: unknown JSON option %q", where, option)
			}
		}
		field := Field{Name: tag[0], Always: !omits, Key: f.Tag.Get("patchMergeKey")}
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			field.Pointer = true
			ft = ft.Elem()
		}
		if scalar(ft) == "" {
			switch ft.Kind() {
			case reflect.Slice:
				field.List = true
			case reflect.Map:
				field.Map = true
				if ft.Key().Kind() != reflect.String {
					fail("%s: map keys are not strings", where)
				}
			}
			if field.List || field.Map {
				if field.Pointer {
					fail("%s: a pointer to a list or map", where)
				}
				ft = ft.Elem()
			}
		}
		field.Type = element(ft, where)
		list = append(list, field)
	}
	return list
}

var packages = map[string]string{}

func read(t reflect.Type) {
	if previous, known := packages[t.Name()]; known {
		if previous != t.PkgPath() {
			fail("%s: in %s and in %s", t.Name(), previous, t.PkgPath())
		}
		return
	}
	packages[t.Name()] = t.PkgPath()
	types[t.Name()] = fields(t)
}

func main() {
	read(reflect.TypeFor[v1.PodSpec]())
	read(reflect.TypeFor[v1.PodStatus]())
	read(reflect.TypeFor[metav1.ObjectMeta]())
	if err := json.NewEncoder(os.Stdout).Encode(types); err != nil {
		fail("%v", err)
	}
}
