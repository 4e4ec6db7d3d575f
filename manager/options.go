package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
	"github.com/kubectl-intercept/kubectl-intercept/manager/license"
	"github.com/kubectl-intercept/kubectl-intercept/manager/server"
)

// options is the configuration that the chart gives the manager. A file has what
// users choose, flags say how this process runs, and environment variables have what
// the kubelet knows.
type options struct {
	listen, listenAgents string
	listenPreview        string
	listenDirect         string
	health, metrics      string
	service, namespaces  string
	file, logLevel       string
	webhook              string
	policies             string

	config         *config.Config
	level          slog.Level
	logs           *slog.LevelVar // what is logged, which is level but for a while
	pod, namespace string
	account        string
	ip             net.IP
	watch          []string

	license license.Options
}

func (o *options) addFlags(f *flag.FlagSet) {
	f.StringVar(&o.listen, "listen", ":443", "address of the TLS port for agents, sessions and the API server")
	f.StringVar(&o.listenAgents, "listen-agents", fmt.Sprintf(":%d", server.AgentsPort), "address of the TLS port for agents")
	f.StringVar(&o.listenDirect, "listen-direct", "", "address of the TLS port for sessions that do not come by the API server; none when empty")
	f.StringVar(&o.listenPreview, "listen-preview", ":8082", "address of the port for visitors of previews, if they are enabled")
	f.StringVar(&o.health, "health", ":8081", "address of /healthz and /readyz")
	f.StringVar(&o.metrics, "metrics", ":8080", "address of /metrics")
	f.StringVar(&o.file, "config", "", "file with what the chart's values say; see package config")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.service, "service", "traffic-manager", "Service in front of this program")
	f.StringVar(&o.webhook, "webhook", "", "MutatingWebhookConfiguration that leads to this program; none when empty")
	f.StringVar(&o.policies, "policies", "", "what the names of the release's ValidatingAdmissionPolicies begin with")
	f.StringVar(&o.namespaces, "namespaces", "", "namespaces to manage, separated by commas; all when empty")
	o.license.AddFlags(f)
}

// complete checks the flags and reads the variables.
func (o *options) complete(getenv func(string) string) error {
	if err := o.level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level %q: use debug, info, warn or error", o.logLevel)
	}
	o.pod, o.namespace = getenv("POD_NAME"), getenv("POD_NAMESPACE")
	if o.pod == "" || o.namespace == "" {
		return fmt.Errorf("POD_NAME and POD_NAMESPACE must be set from the pod's own fields")
	}
	if o.ip = net.ParseIP(getenv("POD_IP")); o.ip == nil {
		return fmt.Errorf("POD_IP %q is no address: set it from status.podIP", getenv("POD_IP"))
	}
	if o.account = getenv("POD_SERVICE_ACCOUNT"); o.account == "" || o.policies == "" {
		return fmt.Errorf("POD_SERVICE_ACCOUNT and --policies must be set: identity rests on admission policies about them")
	}
	var err error
	if o.config, err = config.Load(o.file); err != nil {
		return err
	}
	for ns := range strings.SplitSeq(o.namespaces, ",") {
		if ns = strings.TrimSpace(ns); ns != "" {
			o.watch = append(o.watch, ns)
		}
	}
	return nil
}
