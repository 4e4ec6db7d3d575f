package v1alpha1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestEveryReasonHasAMeaning: whoever adds a reason has to say what it means.
func TestEveryReasonHasAMeaning(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reasons.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared, sorted []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if name := n.Names[0].Name; strings.HasPrefix(name, "Reason") {
				declared = append(declared, name)
			}
		case *ast.CaseClause:
			for _, e := range n.List {
				sorted = append(sorted, e.(*ast.Ident).Name)
			}
		}
		return true
	})
	slices.Sort(declared)
	slices.Sort(sorted)
	if len(declared) == 0 || !slices.Equal(declared, sorted) {
		t.Errorf("declared are %v\nMeaningOf knows %v", declared, sorted)
	}
}

// TestMeaningOf holds what follows from a few reasons.
func TestMeaningOf(t *testing.T) {
	for reason, want := range map[string]Meaning{
		ReasonAttached: MeansReached, ReasonReplacing: MeansWaiting, ReasonDisruptionBudget: MeansWaiting, ReasonAgentFailed: MeansFailing,
		ReasonHostNetwork: MeansFinal, ReasonSidecarConflict: MeansFinal, "OfANewerVersion": MeansFailing,
	} {
		if got := MeaningOf(reason); got != want || got.Fails() != (want == MeansFailing || want == MeansFinal) {
			t.Errorf("%s means %s, want %s", reason, got, want)
		}
	}
}
