package license

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

// publishEvery is how often the ConfigMap is compared with the license: who
// replaces the ConfigMap, as GitOps may, takes the report out of it.
const publishEvery = 10 * time.Second

// eventAnnotation of the ConfigMap is which Event was written last, and on
// which day: a leader must know what the one before it has said.
const eventAnnotation = "kubectl-intercept.dev/license-event"

// Publisher writes the license's state into the ConfigMap that users read, and
// Events on that ConfigMap: every day from api.Soon before the license's end,
// and every day on which it does not hold. The leader runs it.
type Publisher struct {
	Keeper *Keeper
	// Client reads from the API server, not from a cache: the traffic-manager
	// watches no ConfigMaps.
	Client client.Client
	Events events.EventRecorder
	// Namespace and Name are the ConfigMap's.
	Namespace, Name string
	Log             *slog.Logger
}

// Start publishes until ctx ends.
func (p *Publisher) Start(ctx context.Context) error {
	t := time.NewTicker(publishEvery)
	defer t.Stop()
	last := ""
	for {
		err := p.publish(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != last {
			p.Log.Warn("license is not published", "error", err)
		}
		last = ""
		if err != nil {
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// publish makes the ConfigMap say what the license is.
func (p *Publisher) publish(ctx context.Context) error {
	p.Keeper.Look(ctx) // not what was true when another replica led
	r := p.Keeper.Report()
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var cm corev1.ConfigMap
	if err := p.Client.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Name}, &cm); err != nil {
		return fmt.Errorf("read configmap: %w", err)
	}
	n := noticeOf(r, p.Keeper.now())
	old := cm.DeepCopy()
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	cm.Data[api.Key] = string(text)
	due := n.key != cm.Annotations[eventAnnotation]
	if cm.Annotations == nil {
		cm.Annotations = map[string]string{}
	}
	if n.key == "" {
		delete(cm.Annotations, eventAnnotation)
	} else {
		cm.Annotations[eventAnnotation] = n.key
	}
	if due || old.Data[api.Key] != cm.Data[api.Key] {
		// A patch of these two keys: the rest is the chart's.
		err := p.Client.Patch(ctx, &cm, client.MergeFrom(old))
		if apierrors.IsNotFound(err) {
			return nil // uninstalled meanwhile
		}
		if err != nil {
			return fmt.Errorf("write configmap: %w", err)
		}
	}
	if due && n.reason != "" {
		cm.APIVersion, cm.Kind = "v1", "ConfigMap"
		p.Events.Eventf(&cm, nil, n.kind, n.reason, "CheckLicense", "%s", n.message)
	}
	return nil
}

// notice is the Event that is due. Its key names it and its day; an Event is
// written when the key is another than the last.
type notice struct{ key, kind, reason, message string }

// noticeOf is what there is to say about a license on a day. It is empty
// where all is well.
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
