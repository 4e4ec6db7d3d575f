package carrier

import (
	"context"

	"k8s.io/client-go/rest"
)

// Access is the address of the API server and the credentials for it. Both may change.
type Access interface {
	// Config is the current configuration: another pointer after each change.
	Config() *rest.Config
	// Doubt is told of an error that came with a configuration, and says whether
	// there is a newer configuration by now.
	Doubt(ctx context.Context, cfg *rest.Config, err error) bool
}

// Fixed is an Access that does not change.
func Fixed(cfg *rest.Config) Access { return fixed{cfg} }

type fixed struct{ cfg *rest.Config }

// Config implements Access.
func (f fixed) Config() *rest.Config { return f.cfg }

// Doubt implements Access.
func (f fixed) Doubt(context.Context, *rest.Config, error) bool { return false }

// persist dials, and dials once more if that failed with a configuration that has been
// replaced since.
func persist[T any](ctx context.Context, a Access, dial func(*rest.Config) (T, error)) (T, error) {
	cfg := a.Config()
	conn, err := dial(cfg)
	if err != nil && ctx.Err() == nil && a.Doubt(ctx, cfg, err) {
		return dial(a.Config())
	}
	return conn, err
}
