// Command merge joins the type tables of several Kubernetes versions into one and prints it as JSON, one field per
// line. Its arguments are, oldest version first, VERSION=TABLE=OPENAPI: the minor version, the output of the
// command in the parent folder, and that version's api/openapi-spec/swagger.json, against which it checks that no
// type and no field is missing or made up.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

type field struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	List    bool   `json:"list"`
	Map     bool   `json:"map"`
	Pointer bool   `json:"pointer"`
	Always  bool   `json:"always"`
	Key     string `json:"key"`

	since, until int // indices of versions
}

type table map[string][]*field

type openAPI struct {
	Definitions map[string]struct {
		Properties map[string]property `json:"properties"`
	} `json:"definitions"`
}

type property struct {
	Ref   string    `json:"$ref"`
	Items *property `json:"items"`
	Extra *property `json:"additionalProperties"`
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(1)
}

func load(path string, into any) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		fail("%v", err)
	}
	if err := json.Unmarshal(bytes, into); err != nil {
		fail("%s: %v", path, err)
	}
}

// check compares a version's table with its OpenAPI document: the same types, each with the same fields.
func check(version string, types table, document openAPI) {
	const prefix = "#/definitions/"
	queue := []string{
		"io.k8s.api.core.v1.PodSpec", "io.k8s.api.core.v1.PodStatus", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
	}
	seen := map[string]bool{}
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		name := id[strings.LastIndex(id, ".")+1:]
		definition, exists := document.Definitions[id]
		if !exists {
			fail("%s: OpenAPI has no %s", version, id)
		}
		if seen[name] || len(definition.Properties) == 0 { // Quantity, Time and the like have no properties
			continue
		}
		seen[name] = true
		known := map[string]bool{}
		for _, f := range types[name] {
			known[f.Name] = true
			if _, exists := definition.Properties[f.Name]; !exists {
				fail("%s: OpenAPI lacks %s.%s", version, name, f.Name)
			}
		}
		for p, value := range definition.Properties {
			if !known[p] {
				fail("%s: the Go types lack %s.%s", version, name, p)
			}
			for v := &value; v != nil; {
				if v.Ref != "" {
					queue = append(queue, strings.TrimPrefix(v.Ref, prefix))
				}
				if v.Items != nil {
					v = v.Items
				} else {
					v = v.Extra
				}
			}
		}
	}
	for name := range types {
		if !seen[name] {
			fail("%s: OpenAPI lacks %s", version, name)
		}
	}
}

// join adds a version's fields to those of older versions. The newest version gives the order.
func join(merged, types table, version int) {
	for name, newer := range types {
		older := merged[name]
		find := func(list []*field, n string) *field {
			i := slices.IndexFunc(list, func(f *field) bool { return f.Name == n })
			if i < 0 {
				return nil
			}
			return list[i]
		}
		for _, f := range newer {
			f.since, f.until = version, version
			o := find(older, f.Name)
			if o == nil {
				continue
			}
			f.since = o.since
			if o.Key != "" && f.Key == "" {
				f.Key = o.Key
			}
			// A field that changes its meaning between versions needs thought, not a merge.
			if o.Type != f.Type || o.List != f.List || o.Map != f.Map || o.Pointer != f.Pointer {
				fail("%s.%s differs between versions", name, f.Name)
			}
		}
		for _, o := range older {
			if find(newer, o.Name) == nil {
				newer = append(newer, o)
			}
		}
		merged[name] = newer
	}
}

func main() {
	versions := []string{}
	merged := table{}
	for i, argument := range os.Args[1:] {
		parts := strings.Split(argument, "=")
		if len(parts) != 3 {
			fail("%q is not VERSION=TABLE=OPENAPI", argument)
		}
		types, document := table{}, openAPI{}
		load(parts[1], &types)
		load(parts[2], &document)
		check(parts[0], types, document)
		join(merged, types, i)
		versions = append(versions, parts[0])
	}

	names := []string{}
	for name := range merged {
		names = append(names, name)
	}
	slices.Sort(names)
	quoted, _ := json.Marshal(versions)
	fmt.Printf("{\n\"versions\": %s,\n\"types\": {\n", quoted)
	for i, name := range names {
		fmt.Printf("%q: {\n", name)
		for j, f := range merged[name] {
			line := fmt.Sprintf("%q: {\"type\": %q", f.Name, f.Type)
			if f.List {
				line += `, "list": true`
			}
			if f.Map {
				line += `, "map": true`
			}
			if f.Pointer {
				line += `, "pointer": true`
			}
			if f.Always {
				line += `, "always": true`
			}
			if f.Key != "" {
				line += fmt.Sprintf(`, "key": %q`, f.Key)
			}
			if f.since > 0 {
				line += fmt.Sprintf(`, "since": %q`, versions[f.since])
			}
			if f.until < len(versions)-1 {
				line += fmt.Sprintf(`, "until": %q`, versions[f.until])
			}
			line += "}"
			if j < len(merged[name])-1 {
				line += ","
			}
			fmt.Println(line)
		}
		if i < len(names)-1 {
			fmt.Println("},")
		} else {
			fmt.Println("}")
		}
	}
	fmt.Println("}\n}")
}
