package license

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/manager/publication"
)

// eventAnnotation is the annotation of the ConfigMap with the reason and the day of
// the last Event. A new leader reads it, so that it does not repeat an Event of the
// leader before it.
const eventAnnotation = "kubectl-intercept.dev/license-event"

// Publisher writes the license's state into the ConfigMap that users read. It also
// writes an Event about that ConfigMap each day on which the license expires within
// api.Soon or is not valid. Only the leader runs it.
type Publisher struct {
	Checker *Checker
	// Client must read from the API server, not from a cache, because the
	// traffic-manager does not watch ConfigMaps.
	Client client.Client
	Events events.EventRecorder
	// Namespace and Name are those of the ConfigMap.
	Namespace, Name string
	Log             *slog.Logger
}

// Start publishes until ctx ends.
func (p *Publisher) Start(ctx context.Context) error {
	publication.Keep(ctx, p.Log, "license is not published", p.publish)
	return nil
}

// publish writes the license's state into the ConfigMap, and an Event if one is due.
func (p *Publisher) publish(ctx context.Context) error {
	p.Checker.Reload(ctx) // a new leader must not publish an old state
	r := p.Checker.Report()
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	n := noticeOf(r, p.Checker.now())
	due := false
	cm, err := publication.Update(ctx, p.Client, p.Namespace, p.Name, func(cm *corev1.ConfigMap) {
		cm.Data[api.Key] = string(text)
		switch err := Admit(r); {
		case err != nil:
			cm.Data[api.DecisionKey] = err.Error()
		case r.Required:
			cm.Data[api.DecisionKey] = api.Allowed
		default: // it would still be there, and out of date, when a license is required later
			delete(cm.Data, api.DecisionKey)
		}
		due = n.key != cm.Annotations[eventAnnotation]
		if n.key == "" {
			delete(cm.Annotations, eventAnnotation)
		} else {
			metav1.SetMetaDataAnnotation(&cm.ObjectMeta, eventAnnotation, n.key)
		}
	})
	if err != nil || cm == nil {
		return err
	}
	if due && n.reason != "" {
		cm.APIVersion, cm.Kind = "v1", "ConfigMap"
		p.Events.Eventf(cm, nil, n.kind, n.reason, "CheckLicense", "%s", n.message)
	}
	return nil
}

// notice is an Event about the license. Its key consists of the day and the reason. The
// Event is due if this key differs from the key of the last Event.
type notice struct{ key, kind, reason, message string }

// noticeOf returns the Event for a license on a day. It is empty if there is nothing to
// warn of.
func noticeOf(r api.Report, now time.Time) notice {
	n := notice{kind: corev1.EventTypeWarning}
	switch {
	case r.ExpiresSoon(now):
		n.reason = "LicenseExpiresSoon"
		n.message = fmt.Sprintf("the license of %s expires on %s, in %s", r.Subject, api.Time(*r.ValidUntil), api.Days(r.ValidUntil.Sub(now)))
	case r.State == api.Expired:
		n.reason, n.message = "LicenseExpired", fmt.Sprintf("the license of %s expired on %s", r.Subject, api.Time(*r.ValidUntil))
	case r.State == api.OtherCluster:
		n.reason, n.message = "LicenseOfOtherCluster", r.Message
	case r.State == api.Invalid:
		n.reason, n.message = "LicenseInvalid", r.Message
	case r.State == api.Absent && r.Required:
		n.reason, n.message = "LicenseMissing", "there is no license"
	default:
		return notice{}
	}
	if r.Required && r.State != api.Valid {
		n.message += "; personal intercepts are refused"
	}
	n.key = now.UTC().Format(time.DateOnly) + " " + n.reason
	return n
}
