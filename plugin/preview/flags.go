package preview

import (
	"github.com/spf13/pflag"
)

// AddFlags binds the flags that answer the four questions.
func AddFlags(fs *pflag.FlagSet) {
	fs.String(FlagHost, "", "`NAME.NAMESPACE` of the ingress's Service, by which a preview enters the cluster")
	fs.Uint16(FlagPort, 0, "TCP port of that Service")
	fs.Bool(FlagTLS, false, "Whether the ingress expects TLS at that port")
	fs.String(FlagL5Host, "", "Host name by which the ingress routes, such as shop.example.com")
}

// Given returns the answers that were typed, by the flag's name.
func Given(fs *pflag.FlagSet) map[string]string {
	given := map[string]string{}
	for _, name := range []string{FlagHost, FlagPort, FlagTLS, FlagL5Host} {
		if f := fs.Lookup(name); f != nil && f.Changed {
			given[name] = f.Value.String()
		}
	}
	return given
}
