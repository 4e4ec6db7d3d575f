package license

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestReadWhatIsWritten(t *testing.T) {
	until := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	want := &Report{State: Valid, Required: true, Cluster: "here", Subject: "acme", Licensed: []string{"here"}, ValidUntil: &until, Algorithm: "EdDSA"}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(&corev1.ConfigMap{Data: map[string]string{Key: string(text)}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, err := Read(&corev1.ConfigMap{Data: map[string]string{"version": "0.1.0"}}); got != nil || err != nil {
		t.Errorf("a ConfigMap without a report: %v, %v", got, err)
	}
	if _, err := Read(&corev1.ConfigMap{Data: map[string]string{Key: "?"}}); err == nil {
		t.Error("no error for what is no report")
	}
}

func TestString(t *testing.T) {
	until := time.Date(2027, 1, 1, 12, 30, 0, 0, time.UTC)
	for want, r := range map[string]Report{
		"valid until 2027-01-01 12:30 UTC (acme)":  {State: Valid, ValidUntil: &until, Subject: "acme"},
		"expired on 2027-01-01 12:30 UTC":          {State: Expired, ValidUntil: &until},
		"absent":                                   {State: Absent},
		"absent, but personal intercepts need one": {State: Absent, Required: true},
		"absent: there is no secret mine":          {State: Absent, Message: "there is no secret mine"},
		"other cluster: it is for a":               {State: OtherCluster, Message: "it is for a"},
		"invalid":                                  {State: Invalid},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestExpiresSoon(t *testing.T) {
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]bool{time.Minute: true, Soon - 1: true, Soon: false, 2 * Soon: false} {
		until := now.Add(left)
		if got := (&Report{State: Valid, ValidUntil: &until}).ExpiresSoon(now); got != want {
			t.Errorf("%s before its end: %t", left, got)
		}
	}
	if (&Report{State: Absent}).ExpiresSoon(now) {
		t.Error("no license expires soon")
	}
}

func TestDays(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "0 hours", time.Hour: "1 hour", 23 * time.Hour: "23 hours", 24 * time.Hour: "1 day", 14 * 24 * time.Hour: "14 days",
	} {
		if got := Days(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
