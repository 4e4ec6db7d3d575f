package add

import (
	"context"
	"fmt"

	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// sayTaken tells whoever takes an intercept over from another session of theirs
// which one that is: it gets nothing any more, and they may sit at both.
func (o *Options) sayTaken(ctx context.Context, before *v1alpha1.Intercept, s *Session) {
	if before == nil || before.Spec.Session == s.Name {
		return
	}
	var former v1alpha1.Session
	if err := o.client.Get(ctx, client.ObjectKey{Namespace: o.factory.ManagerNamespace, Name: before.Spec.Session}, &former); err != nil {
		return // it is gone, and took nothing
	}
	o.progress.Done()
	printers.NewWarningPrinter(o.ErrOut, printers.WarningPrinterOptions{Color: printers.AllowsColorOutput(o.ErrOut)}).Print(fmt.Sprintf(
		"intercept %s of yours went to host %s (session %s) until now; it comes here instead", before.Name, former.Spec.Host, former.Name))
}
