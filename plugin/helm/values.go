package helm

import (
	"fmt"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/cli/values"
	"helm.sh/helm/v3/pkg/getter"
)

// ValueFlags are Helm's flags for values, with Helm's names and help.
type ValueFlags struct{ options values.Options }

// AddFlags adds them.
func (v *ValueFlags) AddFlags(flags *pflag.FlagSet) {
	o := &v.options
	flags.StringSliceVarP(&o.ValueFiles, "values", "f", nil,
		"Specify values in a YAML file, a URL or - for standard input (can specify multiple)")
	flags.StringArrayVar(&o.Values, "set", nil,
		"Set values on the command line (can specify multiple or separate values with commas: key1=val1,key2=val2)")
	flags.StringArrayVar(&o.StringValues, "set-string", nil,
		"Set STRING values on the command line (can specify multiple or separate values with commas: key1=val1,key2=val2)")
	flags.StringArrayVar(&o.FileValues, "set-file", nil,
		"Set values from respective files specified via the command line (can specify multiple or separate values with commas: key1=path1,key2=path2)")
	flags.StringArrayVar(&o.JSONValues, "set-json", nil,
		"Set JSON values on the command line (can specify multiple or separate values with commas: key1=jsonval1,key2=jsonval2)")
	flags.StringArrayVar(&o.LiteralValues, "set-literal", nil,
		"Set a literal STRING value on the command line")
}

// Values merges what the flags say: files first, then --set-json, --set,
// --set-string, --set-file and --set-literal.
func (v *ValueFlags) Values() (map[string]any, error) {
	web := getter.Provider{Schemes: []string{"http", "https"}, New: getter.NewHTTPGetter}
	merged, err := v.options.MergeValues(getter.Providers{web})
	if err != nil {
		return nil, fmt.Errorf("read values: %w", ofWeb(err))
	}
	return merged, nil
}
