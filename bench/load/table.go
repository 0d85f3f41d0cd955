package main

import (
	"fmt"
	"io"
	"strings"
)

// row is one figure, with the floor that it is compared with.
type row struct {
	what, measured, floor, aim string
	// met reports whether the aim is met. It has no meaning without an aim.
	met bool
}

// table gathers the figures of a run.
type table struct{ rows []row }

func (t *table) add(rows ...row) { t.rows = append(t.rows, rows...) }

// write writes the table as Markdown.
func (t *table) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| what | measured | beside it | aim | met |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range t.rows {
		met := ""
		if r.aim != "" {
			met = "no"
			if r.met {
				met = "yes"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.what, r.measured, r.floor, r.aim, met)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
