package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

const (
	// answerTime is how long the agents have to answer a question.
	answerTime = 4 * time.Second
	// maxShown is how many values of a header are shown, of all agents together.
	maxShown = 3
)

// Headers are headers of requests that an Intercept did not take.
type Headers struct {
	// Agents is how many ports of pods were asked, and Answered how many answered.
	Agents   int      `json:"agents"`
	Answered int      `json:"answered"`
	Seen     []Header `json:"seen,omitempty"`
}

// Header is one of them. A masked one may hold credentials, so its values are not known.
type Header struct {
	Name   string   `json:"name"`
	Values []string `json:"values,omitempty"`
	Masked bool     `json:"masked,omitempty"`
}

// question is what the session asks the agents of an Intercept at the moment.
type question struct {
	uid     string
	answers chan *rpc.SeenHeaders
}

// Headers asks the agents of an Intercept which headers requests had. The question is an
// annotation of the Intercept, which every agent learns of. The answers come as flows to
// this session, and are kept nowhere.
func (t *Table) Headers(ctx context.Context, key types.NamespacedName) (*Headers, error) {
	e, err := t.fetch(ctx, key)
	if err != nil {
		return nil, err
	}
	i := e.object()
	var out Headers
	for _, pod := range i.Status.Pods {
		for _, p := range pod.Ports {
			if p.State == v1alpha1.PodActive {
				out.Agents++
			}
		}
	}
	if out.Agents == 0 {
		return nil, errors.New("no agent serves the intercept yet")
	}
	number, q := rand.Text(), &question{uid: string(i.UID), answers: make(chan *rpc.SeenHeaders, out.Agents)}
	t.mu.Lock()
	t.questions[number] = q
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.questions, number)
		t.mu.Unlock()
	}()
	if err := t.annotate(ctx, i, number); err != nil {
		return nil, err
	}
	defer t.annotate(context.WithoutCancel(ctx), i, "") // a question that stays is asked once all the same
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for out.Answered < out.Agents {
		select {
		case a := <-q.answers:
			out.Answered++
			out.add(a)
		case <-ctx.Done():
			if out.Answered == 0 {
				return nil, fmt.Errorf("no agent answered within %v: agents of an older version cannot", answerTime)
			}
			return &out, nil
		}
	}
	return &out, nil
}

// annotate puts a question on an Intercept; "" takes it off.
func (t *Table) annotate(ctx context.Context, i *v1alpha1.Intercept, number string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	value := "null"
	if number != "" {
		value = `"` + number + `"`
	}
	patch := fmt.Sprintf(`{"metadata":{"uid":%q,"annotations":{%q:%s}}}`, i.UID, v1alpha1.ShowValuesKey, value)
	if err := t.client.Patch(ctx, i.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		return fmt.Errorf("ask the agents: %w", err)
	}
	return nil
}

// told takes what an agent says of headers, if it was asked. It returns frame.ErrRefused
// then, since nothing follows.
func (t *Table) told(o *frame.Open) error {
	t.mu.Lock()
	q := t.questions[o.Target]
	t.mu.Unlock()
	if q == nil || q.uid != o.InterceptUID {
		return frame.ErrDenied
	}
	var a rpc.SeenHeaders
	if err := proto.Unmarshal(o.First, &a); err != nil {
		return fmt.Errorf("headers of intercept %s: %w", o.Intercept, err)
	}
	select {
	case q.answers <- &a:
	default: // more than were asked
	}
	return frame.ErrRefused
}

// add adds what one agent says.
func (h *Headers) add(a *rpc.SeenHeaders) {
	for _, s := range a.Headers {
		k, found := slices.BinarySearchFunc(h.Seen, s.Name, func(have Header, name string) int { return strings.Compare(have.Name, name) })
		if !found {
			if len(h.Seen) >= v1alpha1.MaxHeaders {
				continue
			}
			h.Seen = slices.Insert(h.Seen, k, Header{Name: s.Name})
		}
		to := &h.Seen[k]
		to.Masked = to.Masked || s.Masked
		for _, value := range s.Values {
			if v := string(value); len(to.Values) < maxShown && !slices.Contains(to.Values, v) {
				to.Values = append(to.Values, v)
			}
		}
	}
}
