package chart_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/kubectl-intercept/kubectl-intercept/chart"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
)

// The packaged chart is the embedded one, file by file, and packing it twice
// gives the same bytes.
func TestArchive(t *testing.T) {
	var one, two bytes.Buffer
	for _, w := range []*bytes.Buffer{&one, &two} {
		if err := chart.Archive(w); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two archives differ")
	}
	packed, err := loader.LoadArchive(&one)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(raw(load(t)), raw(packed)); diff != "" {
		t.Errorf("(-embedded +packaged):\n%s", diff)
	}
	if err := packed.Validate(); err != nil {
		t.Error(err)
	}
	if name, err := chart.ArchiveName(); err != nil || name != "traffic-manager-"+version.Version+".tgz" {
		t.Errorf("name %q, %v", name, err)
	}
}
