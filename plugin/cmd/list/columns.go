package list

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"
)

// Forms of -o that name the columns of the table. They mean what they mean to kubectl get.
// Its own printer is not linked: the package prepares all of kubectl get when a program
// starts, which would be a quarter of the start of every command.
const (
	columnsFormat     = "custom-columns="
	columnsFileFormat = "custom-columns-file="
)

// column is a heading and the path of its values in an object.
type column struct {
	heading string
	path    *jsonpath.JSONPath
}

// columnsPrinter prints objects as a table with columns that the user names.
type columnsPrinter struct {
	columns   []column
	noHeaders bool
}

// newColumnsPrinter reads custom-columns=HEADING:PATH,… or custom-columns-file=FILE.
func newColumnsPrinter(format string, noHeaders bool) (*columnsPrinter, error) {
	p := &columnsPrinter{noHeaders: noHeaders}
	var err error
	if spec, ok := strings.CutPrefix(format, columnsFormat); ok {
		p.columns, err = parseColumns(spec)
	} else if file, ok := strings.CutPrefix(format, columnsFileFormat); ok {
		p.columns, err = readColumns(file)
	} else {
		err = fmt.Errorf("-o %s: write custom-columns=HEADING:PATH, for example custom-columns=NAME:.metadata.name,STATE:.state, or custom-columns-file=FILE", format)
	}
	return p, err
}

// parseColumns reads HEADING:PATH,HEADING:PATH.
func parseColumns(spec string) ([]column, error) {
	var columns []column
	for part := range strings.SplitSeq(spec, ",") {
		heading, path, found := strings.Cut(part, ":")
		if !found {
			return nil, fmt.Errorf("custom-columns: %q is no column: write HEADING:PATH, for example NAME:.metadata.name", part)
		}
		c, err := newColumn(heading, path)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return columns, nil
}

// readColumns reads a file with a line of headings and a line of paths.
func readColumns(file string) ([]column, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the columns: %w", err)
	}
	lines := strings.SplitN(string(b), "\n", 3)
	if len(lines) < 2 {
		return nil, fmt.Errorf("%s: it needs a line of headings and a line of paths", file)
	}
	headings, paths := strings.Fields(lines[0]), strings.Fields(lines[1])
	if len(headings) == 0 || len(headings) != len(paths) {
		return nil, fmt.Errorf("%s: it has %d headings and %d paths", file, len(headings), len(paths))
	}
	var columns []column
	for n := range headings {
		c, err := newColumn(headings[n], paths[n])
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return columns, nil
}

// newColumn reads a path, which may be spelled name, .name, {name} or {.name}.
func newColumn(heading, path string) (column, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(path, "{"), "}")
	bare = strings.TrimPrefix(bare, ".")
	if bare == "" {
		return column{}, fmt.Errorf("custom-columns: the column %q has no path", heading)
	}
	c := column{heading: heading, path: jsonpath.New(heading).AllowMissingKeys(true)}
	if err := c.path.Parse("{." + bare + "}"); err != nil {
		return column{}, fmt.Errorf("custom-columns: the path %q: %w", path, err)
	}
	return c, nil
}

// PrintObj prints an object, or the items of a list.
func (p *columnsPrinter) PrintObj(obj runtime.Object, w io.Writer) error {
	out := printers.GetNewTabWriter(w)
	if !p.noHeaders {
		var headings []string
		for _, c := range p.columns {
			headings = append(headings, c.heading)
		}
		fmt.Fprintln(out, strings.Join(headings, "\t"))
		p.noHeaders = true // --watch prints one object after the other
	}
	var err error
	if meta.IsListType(obj) {
		err = meta.EachListItem(obj, func(item runtime.Object) error { return p.row(out, item) })
	} else {
		err = p.row(out, obj)
	}
	return errors.Join(err, out.Flush())
}

// row prints the values of an object.
func (p *columnsPrinter) row(w io.Writer, obj runtime.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return err
	}
	var cells []string
	for _, c := range p.columns {
		found, err := c.path.FindResults(content)
		if err != nil {
			return fmt.Errorf("column %s: %w", c.heading, err)
		}
		var values []string
		for _, list := range found {
			for _, v := range list {
				values = append(values, fmt.Sprint(v.Interface()))
			}
		}
		if len(values) == 0 {
			values = []string{"<none>"}
		}
		cells = append(cells, strings.Join(values, ","))
	}
	_, err = fmt.Fprintln(w, strings.Join(cells, "\t"))
	return err
}
