// Command quantity prints tests/vectors/quantity.json: what Kubernetes' own library makes of quantities.
package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

type expected struct {
	// Nano is the value in billionths.
	Nano string `json:"nano"`
	// Canonical is the form that Kubernetes prints, once it has read its own output.
	Canonical string `json:"canonical"`
	// Amount is the same after rounding up to thousandths, as amounts of resources are.
	Amount string `json:"amount"`
}

type vector struct {
	Name     string    `json:"name"`
	Source   string    `json:"source"`
	Input    string    `json:"input"`
	Expected *expected `json:"expected,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// canonical prints a quantity without the shortcut that returns the text it was read from.
func canonical(q resource.Quantity) string {
	for {
		number, suffix := q.CanonicalizeBytes(nil)
		text := string(number) + string(suffix)
		q = resource.MustParse(text)
		again, suffix := q.CanonicalizeBytes(nil)
		if string(again)+string(suffix) == text {
			return text
		}
	}
}

func nano(q resource.Quantity) string {
	dec := q.DeepCopy()
	d := dec.AsDec()
	n := new(big.Int).Set(d.UnscaledBig())
	shift := big.NewInt(int64(9 - d.Scale()))
	if shift.Sign() >= 0 {
		n.Mul(n, new(big.Int).Exp(big.NewInt(10), shift, nil))
	} else {
		n.Quo(n, new(big.Int).Exp(big.NewInt(10), shift.Neg(shift), nil))
	}
	return n.String()
}

const source = "k8s.io/apimachinery v0.37.2, pkg/api/resource"

func answer(group, input string) vector {
	v := vector{Name: fmt.Sprintf("%s: %q", group, input), Source: source, Input: input}
	q, err := resource.ParseQuantity(input)
	if err != nil {
		v.Error = "quantity-malformed"
		return v
	}
	rounded := q.DeepCopy()
	rounded.RoundUp(resource.Milli)
	v.Expected = &expected{nano(q), canonical(q), canonical(rounded)}
	return v
}

func main() {
	groups := []struct {
		name   string
		inputs []string
	}{
		{"zero", []string{"0", "-0", "+0", "00", "0.0", "0.000", "0Ki", "0m", "0e5", "0n", "0E"}},
		{"every suffix", []string{"1n", "1u", "1m", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}},
		{"exponents", []string{"1e3", "1E3", "1e+3", "1e-3", "5e0", "15e2", "1e2", "1.5e3", "1e9", "1e-9", "1e-10", "12e19", "1e05", "-2e6"}},
		{"carried up", []string{"1000m", "1000", "1000000", "1000000000", "1024Mi", "1024Ki", "1000Ki", "2048Gi", "100000Mi", "1000k", "1000n"}},
		{"fractions", []string{"0.5", ".5", "5.", "1.5Gi", "1.5G", "0.1Gi", "0.25", "1.500", "0.5Ki", "0.001", "1.0000", "1.000976562Ki", "1000.9765625Ki", "2.5Ei", "-0.5", "-1.5Gi"}},
		{"rounded up", []string{"0.0001", "0.1m", "1.0001", "0.0000000001", "0.1n", "1.1n", "1.0000000001", "-0.0001", "-0.0000000001", "-1.0001", "0.1Ki", "0.00001Ki", "0.0000000001Ki", "33333333333333333333.3333333333n"}},
		{"binary below 1024 and inexact", []string{"1023", "1024", "1025", "0.9Ki", "1.1Ki", "-0.9Ki", "-1Ki", "0.0009765625Ki", "1025Ki", "1.0009765625Mi"}},
		{"limits", []string{"9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "8Ei", "7Ei", "9Ei", "-8Ei", "-9Ei", "16Ei", "8191Pi", "8192Pi", "9007199254740993Ki", "10E", "999E", "9.3E", "9223372036854775807n", "9223372036854775807Ki", "0.9223372036854775807"}},
		{"written odd", []string{"+5", "+1Gi", "007", "0100m", "1.500", "5E3", "00.5", "+.5"}},
		{"refused", []string{"", "1i", "1K", "1ki", "1gi", "1GI", "1 ", " 1", "1 Gi", "1e", "1ee3", "1e3.5", "1e3e3", "1.2.3", "--1", "+-1", "1-", "1,000", "0x10", "1_000", "Infinity", "NaN", "1mi", "1ni", "1ui", "1Zi", "1Y", "½", "１", "1e+", "1Ke3", "1m1", "1\n", "true"}},
	}
	vectors := []vector{}
	for _, group := range groups {
		for _, input := range group.inputs {
			vectors = append(vectors, answer(group.name, input))
		}
	}
	largest, smallest := resource.MustParse("999E"), resource.MustParse("-999E")
	random := rand.New(rand.NewSource(1))
	suffixes := strings.Split(",n,u,m,k,M,G,T,P,Ki,Mi,Gi,Ti,Pi,Ei,e3,e-7,E2,e-1", ",")
	for len(vectors) < 500 {
		digits := 1 + random.Intn(17)
		input := strings.TrimLeft(fmt.Sprint(random.Int63())[:digits], "0") + suffixes[random.Intn(len(suffixes))]
		if random.Intn(2) == 0 {
			at := random.Intn(digits)
			input = input[:at] + "." + input[at:]
		}
		if random.Intn(5) == 0 {
			input = "-" + input
		}
		// Larger ones are read here, but printed without their suffix.
		if q, err := resource.ParseQuantity(input); err == nil && (q.Cmp(largest) > 0 || q.Cmp(smallest) < 0) {
			continue
		}
		vectors = append(vectors, answer("random", input))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{
		"description": "Quantities: the value in billionths, the canonical form, and that of the value rounded up to " +
			"thousandths. Made by tools/schema/quantity.",
		"license": "MIT",
		"count":   len(vectors),
		"vectors": vectors,
	}); err != nil {
		panic(err)
	}
}
