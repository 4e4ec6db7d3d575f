package carrier

import (
	"context"

	"k8s.io/client-go/rest"
)

// Access is how the API server is reached, and as whom. Both may change.
type Access interface {
	// Config is the present configuration, another one after each change.
	Config() *rest.Config
	// Doubt hears of an error of what a configuration was used for, and says
	// whether there is another by now.
	Doubt(ctx context.Context, cfg *rest.Config, err error) bool
}

// Fixed is an Access that does not change.
func Fixed(cfg *rest.Config) Access { return fixed{cfg} }

type fixed struct{ cfg *rest.Config }

// Config implements Access.
func (f fixed) Config() *rest.Config { return f.cfg }

// Doubt implements Access.
func (f fixed) Doubt(context.Context, *rest.Config, error) bool { return false }

// persist dials, and once more if the first failed for what is another by now.
func persist[T any](ctx context.Context, a Access, dial func(*rest.Config) (T, error)) (T, error) {
	cfg := a.Config()
	conn, err := dial(cfg)
	if err != nil && ctx.Err() == nil && a.Doubt(ctx, cfg, err) {
		return dial(a.Config())
	}
	return conn, err
}
