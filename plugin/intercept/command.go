package intercept

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// leaveTimeout bounds the end of an intercept that was made for a command.
const leaveTimeout = 15 * time.Second

// MakeForCommand is Make for an intercept that ends with this command: by During, or, if the
// command is killed, by the session. Make takes it back if it does not begin in time.
func (o *Options) MakeForCommand(ctx context.Context, sessions Sessions) (*Made, error) {
	o.command = rand.Text()
	runs, err := sessions.Command(o.Factory, o.command)
	if err != nil {
		return nil, err
	}
	m := &maker{Options: o}
	made, err := m.make(ctx, sessions)
	if err != nil {
		m.session.release(ctx, o.command)
		_ = runs.Close() // what is left of it does no harm
		return nil, err
	}
	made.Command, made.runs = o.command, runs
	return made, nil
}

// During calls run, which is the command's work, and then ends the intercept. The context of
// run ends when the intercept ends first, because somebody left it. It does not end with ctx,
// because interrupts are for a program that run starts.
func (m *Made) During(ctx context.Context, errOut io.Writer, run func(context.Context) error) error {
	defer m.runs.Close() // what is left of it does no harm
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan bool, 1)
	go func() {
		ended <- m.awaitEnd(work)
		cancel()
	}()
	var kept sync.WaitGroup
	if m.session.Keep != nil {
		kept.Go(func() { m.session.Keep(work, m.Command) })
	}
	err := run(work)
	cancel()
	kept.Wait()
	if !m.unnamed { // whoever asks for an environment soon asks for another
		defer m.session.release(ctx, m.Command)
	}
	if <-ended {
		fmt.Fprintf(errOut, "intercept %s has ended, and so has the command\n", m.Name)
		return err
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer stop()
	switch lerr := m.Leave(last); {
	case lerr != nil && err == nil:
		return lerr
	case lerr != nil:
		fmt.Fprintf(errOut, "warning: %s\n", render.Error(lerr))
	}
	return err
}

// release says that a command has ended. S may be nil.
func (s *Session) release(ctx context.Context, command string) {
	if s == nil {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer stop()
	_ = s.Release(ctx, command) // otherwise the process ends later
}

// awaitEnd returns true when the intercept is gone or is about to go, and false when ctx
// ends.
func (m *Made) awaitEnd(ctx context.Context) bool {
	for {
		err := target.Follow(ctx, m.client, client.ObjectKeyFromObject(m.Intercept), func(now *v1alpha1.Intercept) (bool, error) {
			return now == nil || now.UID != m.UID || now.DeletionTimestamp != nil, nil
		})
		if err == nil {
			return true
		}
		select {
		case <-time.After(followAgain):
		case <-ctx.Done():
			return false
		}
	}
}

// followAgain is the pause after the API server refused to be watched.
const followAgain = 5 * time.Second

// Leave ends the intercept, and waits a while for its end. If it has been changed since,
// it belongs to that command, and stays.
func (m *Made) Leave(ctx context.Context) error {
	var now v1alpha1.Intercept
	i := m.Intercept
	err := m.client.Get(ctx, client.ObjectKeyFromObject(i), &now)
	if apierrors.IsNotFound(err) || err == nil && (now.UID != i.UID || !equality.Semantic.DeepEqual(now.Spec, i.Spec)) {
		return nil
	}
	err = m.client.Delete(ctx, i, client.Preconditions{UID: &i.UID})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("leave %s: %w; run kubectl intercept leave %s -n %s", m.workload, err, i.Name, i.Namespace)
	}
	return gone(ctx, m.client, i, undoDeadline)
}
