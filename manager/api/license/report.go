// Package license is what the traffic-manager tells about its license, and
// where: as JSON in the ConfigMap that the plugin reads for the version, so
// that one request answers both and an answer is there while no replica runs.
package license

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Key is the key of the report in the ConfigMap's data.
const Key = "license"

// DecisionKey is the key, beside Key, under which the traffic-manager says whether users
// may create personal intercepts: Allowed, or why not. The chart's admission policy reads
// it. It is there only while personal intercepts need a license.
const DecisionKey = "personalIntercepts"

// Allowed is the decision that users may create personal intercepts.
const Allowed = "allowed"

// ClusterNamespace is the namespace whose UID is the id of a cluster: no
// cluster is without it, and it lives as long as the cluster.
const ClusterNamespace = "kube-system"

// Soon is how long before its end a license is said to expire soon.
const Soon = 14 * 24 * time.Hour

// State is the outcome of checking a license.
type State string

// The states.
const (
	// Valid until Report.ValidUntil.
	Valid State = "valid"
	// Expired at Report.ValidUntil.
	Expired State = "expired"
	// OtherCluster: it was made for the clusters Report.Licensed.
	OtherCluster State = "other cluster"
	// Absent: there is no license.
	Absent State = "absent"
	// Invalid for the reason in Report.Message.
	Invalid State = "invalid"
)

// States lists all of them.
func States() []State { return []State{Valid, Expired, OtherCluster, Absent, Invalid} }

// Report is a license and its state. What the license says is there only if
// its signature is good.
type Report struct {
	State State `json:"state"`
	// Message is why the state is not Valid, in a sentence without full stop.
	Message string `json:"message,omitempty"`
	// Required says that personal intercepts need a license.
	Required bool `json:"required"`
	// Cluster is the id of this cluster; empty if it is not known.
	Cluster string `json:"cluster,omitempty"`
	// Subject is who the license was made for.
	Subject string `json:"subject,omitempty"`
	// Licensed are the ids of the clusters that it was made for.
	Licensed   []string   `json:"licensed,omitempty"`
	ValidUntil *time.Time `json:"validUntil,omitempty"`
	NotBefore  *time.Time `json:"notBefore,omitempty"`
	IssuedAt   *time.Time `json:"issuedAt,omitempty"`
	// Algorithm of the signature: EdDSA or RS256.
	Algorithm string `json:"algorithm,omitempty"`
}

// Read returns the report of the traffic-manager's ConfigMap, or nil if there
// is none yet.
func Read(cm *corev1.ConfigMap) (*Report, error) {
	text, ok := cm.Data[Key]
	if !ok {
		return nil, nil
	}
	r := &Report{}
	if err := json.Unmarshal([]byte(text), r); err != nil {
		return nil, fmt.Errorf("read %q of configmap %s/%s: %w", Key, cm.Namespace, cm.Name, err)
	}
	return r, nil
}

// String is the state in a few words: "valid until 2027-01-01 00:00 UTC (acme)".
func (r *Report) String() string {
	switch r.State {
	case Valid, Expired:
		s := "valid until "
		if r.State == Expired {
			s = "expired on "
		}
		if r.ValidUntil != nil {
			s += Time(*r.ValidUntil)
		}
		if r.Subject != "" {
			s += " (" + r.Subject + ")"
		}
		return s
	case Absent:
		s := "absent"
		if r.Message != "" {
			s += ": " + r.Message
		}
		if r.Required {
			s += ", but personal intercepts need one"
		}
		return s
	}
	if r.Message == "" {
		return string(r.State)
	}
	return string(r.State) + ": " + r.Message
}

// ExpiresSoon says that a valid license ends within Soon.
func (r *Report) ExpiresSoon(now time.Time) bool {
	return r.State == Valid && r.ValidUntil != nil && r.ValidUntil.Sub(now) < Soon
}

// Time is how points in time are written.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Days is how long d is, for people: "5 hours", "1 day", "14 days".
func Days(d time.Duration) string {
	n, unit := int(d/(24*time.Hour)), "day"
	if n == 0 {
		n, unit = int(d/time.Hour), "hour"
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
