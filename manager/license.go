package main

import (
	"log/slog"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/kubectl-intercept/kubectl-intercept/manager/license"
)

// keepLicense makes every replica read the license, and makes the leader publish its
// state.
func keepLicense(mgr ctrl.Manager, direct client.Client, log *slog.Logger, o *options) error {
	k := license.NewChecker(o.license, direct, log)
	if err := metrics.Registry.Register(license.NewMetrics(k)); err != nil {
		return err
	}
	if err := mgr.Add(k); err != nil {
		return err
	}
	return mgr.Add(&license.Publisher{Checker: k, Client: direct, Namespace: o.namespace, Name: o.service,
		Events: mgr.GetEventRecorder("traffic-manager"), Log: log})
}
