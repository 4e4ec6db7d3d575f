package add

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/crypto/bcrypt"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/preview"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// nameTime is how long the traffic-manager may take to make a preview's URL.
const nameTime = 10 * time.Second

// errNoPreviews says how to get previews.
var errNoPreviews = errors.New("this cluster has no preview URLs: an administrator turns them on with " + gateway.Enable + "; kubectl intercept preview NAME needs nothing of that, and shows the same to a browser on this machine")

// previewFlags are those about a preview URL.
type previewFlags struct {
	Password string
	// answers are those to the questions of package preview that flags gave.
	answers map[string]string
}

func (f *previewFlags) add(fs *pflag.FlagSet) {
	url := fs.Lookup("preview-url")
	url.Usage = "Make a URL whose visitors come to this machine. Asks by which ingress they enter the cluster, unless flags say it. Without --match, it means --match auto"
	url.Hidden = false
	preview.AddFlags(fs)
	fs.StringVar(&f.Password, "preview-password", "", "Password that visitors of the preview URL have to know")
}

// preview checks the flags about a preview. One without conditions gets a header of its
// own, so that the others' requests stay with the application.
func (f *Flags) preview(fs *pflag.FlagSet) error {
	f.Preview.answers = preview.Given(fs)
	for name := range f.Preview.answers {
		if !f.PreviewURL {
			return fmt.Errorf("--%s is about a preview URL: add --preview-url", name)
		}
	}
	if err := preview.Check(f.Preview.answers); err != nil {
		return err
	}
	secured := fs.Changed("preview-password")
	switch {
	case secured && f.Preview.Password == "": // a variable that is not set
		return errors.New("--preview-password is empty: leave it out for a preview that everybody can see")
	case secured && !f.PreviewURL:
		return errors.New("--preview-password is about a preview URL: add --preview-url")
	case len(f.Preview.Password) > 72: // as much as bcrypt reads
		return errors.New("--preview-password: use at most 72 bytes")
	case f.PreviewURL && f.Requests.Mechanism == "":
		f.Requests.Mechanism = "http"
	}
	return nil
}

// choosePreview finds out how visitors of the preview enter the cluster.
func (o *Options) choosePreview(ctx context.Context) error {
	if o.Match != nil {
		if _, err := gateway.MarksOf(o.Match.Conditions); err != nil {
			return err
		}
	}
	c, err := o.Factory.Client()
	if err != nil {
		return err
	}
	i, err := target.InstalledIfReadable(ctx, c, o.Factory.ManagerNamespace)
	if err != nil {
		return err
	}
	if i != nil && i.PreviewDomain == "" {
		return errNoPreviews
	}
	if err := o.Settle(ctx, c); err != nil {
		return err
	}
	w, service, err := target.Find(ctx, c, o.Namespace, o.Ref)
	if err != nil {
		return err
	}
	names := []string{o.Service, service}
	if all, err := resolve.Services(ctx, c, w); err == nil && o.Service == "" {
		for _, s := range all {
			names = append(names, s.Name)
		}
	}
	to, err := preview.Choose(o.preview.answers, preview.Detect(ctx, c, o.Namespace, names), o.terminal())
	if err != nil {
		return err
	}
	o.Preview = &v1alpha1.Preview{Host: to.Host, Port: int32(to.Port), TLS: to.TLS, L5Host: to.L5Host}
	if o.preview.Password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(o.preview.Password), bcrypt.DefaultCost)
		if err != nil {
			return fmt.Errorf("--preview-password: %w", err)
		}
		o.Preview.PasswordHash = string(hash)
	}
	return nil
}

// terminal is where questions are asked; nil if nobody is there to answer.
func (o *Options) terminal() *preview.Terminal {
	in, ok := o.In.(io.Writer) // a terminal is a file, which can be written
	if !ok || !render.IsTerminal(in) || !render.IsTerminal(o.ErrOut) {
		return nil
	}
	return &preview.Terminal{In: o.In, Out: o.ErrOut}
}

// awaitPreview returns what the traffic-manager says of the preview; nil if it says
// nothing in time.
func (o *Options) awaitPreview(ctx context.Context, ic *v1alpha1.Intercept) (*v1alpha1.PreviewStatus, error) {
	c, err := o.Factory.Client()
	if err != nil {
		return nil, err
	}
	var said *v1alpha1.PreviewStatus
	err = target.FollowFor(ctx, nameTime, c, client.ObjectKeyFromObject(ic), func(now *v1alpha1.Intercept) (bool, error) {
		if now == nil || now.UID != ic.UID {
			return true, nil
		}
		p := now.Status.Preview
		if p == nil || p.ObservedGeneration < now.Generation {
			return false, nil
		}
		said = p
		return true, nil
	})
	if errors.Is(err, target.ErrTimeout) {
		err = nil
	}
	return said, err
}

// reportPreview prints the preview's URL, or why there is none.
func (o *Options) reportPreview(ctx context.Context, out io.Writer, ic *v1alpha1.Intercept) error {
	p, err := o.awaitPreview(ctx, ic)
	switch {
	case err != nil:
		return err
	case p == nil:
		render.Warn(o.ErrOut, fmt.Sprintf("there is no preview URL yet: kubectl get intercept %s -n %s -o yaml shows it", ic.Name, ic.Namespace))
		return nil
	}
	if p.URL != "" {
		if err := render.Block(out, "    ", []render.Row{{Label: "Preview URL", Value: p.URL}}); err != nil {
			return err
		}
	}
	if p.Message != "" {
		render.Warn(o.ErrOut, "the preview leads nowhere: "+p.Message)
	}
	return nil
}
