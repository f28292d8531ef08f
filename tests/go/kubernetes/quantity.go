package main

import (
	"encoding/json"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

// canonicalOf prints a quantity and reads it again, twice: what Kubernetes prints first of some is not yet what it
// prints of that.
func canonicalOf(quantity resource.Quantity) (resource.Quantity, error) {
	for range 2 {
		// Not String, which prints the text that was read if that looks canonical.
		number, suffix := quantity.CanonicalizeBytes(nil)
		next, err := resource.ParseQuantity(string(number) + string(suffix))
		if err != nil {
			return quantity, err
		}
		quantity = next
	}
	return quantity, nil
}

// quantity reads a quantity as it stands in JSON, where a number is one too. The amount is what the API server makes of
// it in a list of resources (pkg/apis/core/v1/defaults.go, SetDefaults_ResourceList).
func quantity(text json.RawMessage) (any, error) {
	var read resource.Quantity
	if err := json.Unmarshal(text, &read); err != nil {
		return map[string]string{"error": err.Error()}, nil
	}
	canonical, err := canonicalOf(read)
	if err != nil {
		return nil, err
	}
	rounded := read.DeepCopy()
	rounded.RoundUp(resource.Milli)
	amount, err := canonicalOf(rounded)
	if err != nil {
		return nil, err
	}
	exact := read.DeepCopy()
	nano := new(inf.Dec).Mul(exact.AsDec(), inf.NewDec(1, -9))
	return map[string]string{
		"canonical": canonical.String(),
		"amount":    amount.String(),
		"nano":      nano.Round(nano, 0, inf.RoundExact).String(),
	}, nil
}

// compare compares two quantities: -1, 0 or 1.
func compare(text json.RawMessage) (any, error) {
	var pair [2]resource.Quantity
	if err := json.Unmarshal(text, &pair); err != nil {
		return nil, err
	}
	return pair[0].Cmp(pair[1]), nil
}
