package paging_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/paging"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// Each filter must find the same rows as a condition that was written by hand.
func TestFilter_FindsTheRowsOfTheEquivalentCondition(t *testing.T) {
	t.Parallel()
	db, signer := open(t), tokens(t, "secret")
	for filter, want := range map[string]string{
		``:                                     "true",
		`name = "Name_1"`:                      "name = 'Name_1'",
		`name != 'Name_1'`:                     "name <> 'Name_1'",
		`name : "E_1"`:                         "name = 'Name_1'",
		`name:"%"`:                             "false",
		`name:"ame_"`:                          "true",
		`name:"am\\"`:                          "false",
		`size >= 1 AND size<2`:                 "size = 1",
		`size > 0.5 size < 1.5`:                "size = 1",
		`size = 0 OR size = 2`:                 "size IN (0, 2)",
		`onSale = true size = 0 OR size = 1`:   "on_sale AND size IN (0, 1)",
		`(onSale = true size = 0) OR size = 1`: "on_sale AND size = 0 OR size = 1",
		`NOT size = 0`:                         "size <> 0",
		`-size = 0`:                            "size <> 0",
		`NOT (size = 0 OR onSale = false)`:     "size <> 0 AND on_sale",
		`kind = big`:                           "kind = 'big'",
		`kind != "big"`:                        "kind = 'small'",
		`tags:t1`:                              "'t1' = ANY (tags)",
		`tags : all AND tags:"t2"`:             "'t2' = ANY (tags)",
		`makeTime > 2026-01-01T02:30:00Z`:      "made_at > '2026-01-01 02:30Z'",
		`makeTime <= "2026-01-01T04:00:00+02:00"`:     "made_at <= '2026-01-01 02:00Z'",
		`id = "00000000-0000-4000-8000-000000000007"`: "id = '00000000-0000-4000-8000-000000000007'",
		`note = even`:                "note = 'even'",
		`note != even`:               "note IS NULL",
		`NOT note = even`:            "note IS NULL",
		`name = "x' OR true --"`:     "false",
		`name = "a \"quoted\" text"`: "false",
		`ANDROID = 1`:                "",
		`((((((size = 1))))))`:       "size = 1",
	} {
		if want == "" {
			refused(t, "filter", paging.Request{Filter: filter})
			continue
		}
		rows, _, err := fetch(t.Context(), db, signer, paging.Request{PageSize: 100, Filter: filter, OrderBy: "id"})
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if expected := count(t, db, want); len(rows) != expected {
			t.Errorf("%s finds %d rows, want the %d of %s", filter, len(rows), expected, want)
		}
	}
}

// S51, S63: filters on hidden fields, of ten thousand terms, with NUL or without UTF-8.
func TestFilter_InvalidOrTooLarge_IsRefused(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{
		`unknown = 1`, `secret = "x"`, `name`, `"bare"`, `name =`, `name = = 1`, `= 1`, `name = "open`, `(name = "x"`, `name = "x")`,
		`size = many`, `size = 1e9`, `size = 0x10`, `size = NaN`, `size = 1234567890123456789012`, `size : 1`,
		`onSale = 1`, `onSale < true`, `kind = huge`, `kind < big`, `tags = t1`, `id = 7`, `id < "00000000-0000-4000-8000-000000000007"`,
		`makeTime = yesterday`, `makeTime = "0000-01-01T00:00:00Z"`, `makeTime : 2026`,
		`size = 1 AND`, `OR size = 1`, `NOT`, `size = 1 OR OR size = 2`, `size = 1 ; size = 2`,
		"name = \"a\x00b\"", "name = \"\xff\"",
		strings.Repeat("(", 5000) + "size = 1" + strings.Repeat(")", 5000),
		strings.Repeat("(", 11) + "size = 1" + strings.Repeat(")", 11),
		strings.TrimSuffix(strings.Repeat("size = 1 OR ", 10_000), " OR "),
		strings.TrimSuffix(strings.Repeat("size=1 ", 60), " "),
		strings.Repeat("NOT ", 500) + "size = 1",
	} {
		refused(t, "filter", paging.Request{Filter: filter})
	}
}

// Every filter is refused with INVALID_ARGUMENT, or becomes SQL that contains only known
// words, with a parameter for each value.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		``, `name = "x"`, `size > 1 AND (kind = big OR NOT onSale = true)`, `tags:a -name:"b"`, `makeTime < 2026-01-01T00:00:00Z`,
		`name = "\\"`, `name='`, `((`, `a.b = 1`, "name = \"\u0000\"", `NOT NOT size = 1`, `name = "'; DROP TABLE thing; --"`,
	} {
		f.Add(seed)
	}
	signer := tokens(f, "secret")
	words := regexp.MustCompile(`^(true|AND|OR|IS|NOT|TRUE|DISTINCT|FROM|ILIKE|ANY|name|kind|size|on_sale|tags|made_at|note|id|\$[0-9]+|::text|::numeric|::boolean|::timestamptz|::uuid|<=|>=|[ ()=<>])*$`)
	parameter := regexp.MustCompile(`\$[0-9]+`)
	f.Fuzz(func(t *testing.T, filter string) {
		page, err := list.Page(signer, paging.Request{Filter: filter}, 1)
		if err != nil {
			if !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) {
				t.Fatalf("%q: %v", filter, err)
			}
			return
		}
		if !words.MatchString(page.Where) {
			t.Fatalf("%q becomes %s", filter, page.Where)
		}
		if got := len(parameter.FindAllString(page.Where, -1)); got != len(page.Args) {
			t.Fatalf("%q becomes %s with %d values", filter, page.Where, len(page.Args))
		}
	})
}
