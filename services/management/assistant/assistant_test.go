package assistant_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/management/assistant"
)

func TestApply_Mask_ChangesOnlyItsFields(t *testing.T) {
	t.Parallel()
	before := assistant.Assistant{DisplayName: "Help desk", Description: "old", Model: "local/extractive"}
	patch := assistant.Assistant{DisplayName: "ignored", Description: "new"}
	after, err := before.Apply(patch, []string{"description"})
	if err != nil {
		t.Fatal(err)
	}
	if after.DisplayName != "Help desk" || after.Description != "new" || after.Model != "local/extractive" {
		t.Errorf("Apply returned %+v", after)
	}
}

func TestApply_BadInput_NamesTheField(t *testing.T) {
	t.Parallel()
	valid := assistant.Assistant{DisplayName: "Help desk"}
	for _, tc := range []struct {
		name, path, field string
	}{
		{"a field that clients may not set", "id", "updateMask"},
		{"an unknown field", "bogus", "updateMask"},
		{"an empty name", "display_name", "assistant.displayName"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := valid.Apply(assistant.Assistant{}, []string{tc.path})
			violations := fault.From(err).Violations()
			if len(violations) != 1 || violations[0].Field != tc.field {
				t.Errorf("violations %v, want one on %s", violations, tc.field)
			}
		})
	}
}

func TestCheckRestore_OutsideTheWindow_IsRefused(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	for _, tc := range []struct {
		name    string
		deleted *time.Time
		want    faultv1.Reason
	}{
		{"not deleted", nil, faultv1.Reason_REASON_ALREADY_EXISTS},
		{"just deleted", ago(time.Minute), faultv1.Reason_REASON_UNSPECIFIED},
		{"deleted too long ago", ago(assistant.RestoreWindow + time.Second), faultv1.Reason_REASON_NOT_FOUND},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := assistant.Assistant{DeleteTime: tc.deleted}.CheckRestore(now)
			if got := fault.ReasonOf(err); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
