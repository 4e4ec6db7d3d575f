// Package e2e tests the cluster tool itself: a cluster comes up, does its
// work, and is gone without a trace after whatever was killed.
//
// It needs root and a built binary: bin/cluster of this repository, or the one
// that CLUSTER_BIN names. Without them the tests are skipped.
package e2e
