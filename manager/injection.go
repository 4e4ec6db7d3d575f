package main

import (
	"github.com/kubectl-intercept/kubectl-intercept/manager/controller"
	"github.com/kubectl-intercept/kubectl-intercept/manager/inject"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
	"github.com/kubectl-intercept/kubectl-intercept/manager/network"
	"github.com/kubectl-intercept/kubectl-intercept/manager/replacement"
	"github.com/kubectl-intercept/kubectl-intercept/manager/server"
	"github.com/kubectl-intercept/kubectl-intercept/manager/webhook"
)

// agentConfig returns the configuration of agents that start now. It is not constant,
// because the certificate authority changes.
func (s *shared) agentConfig() inject.Config {
	a := s.config.Agent
	return inject.Config{Image: a.Image, PullPolicy: a.ImagePullPolicy, LogLevel: a.LogLevel,
		Manager: s.agentsAddress, ServerName: s.agentsName, CA: string(s.authority.Bundle()),
		Resources: a.Resources, InitResources: a.InitResources, PullSecrets: a.ImagePullSecrets}
}

// newInjector makes the mutating webhook.
func (s *shared) newInjector() *webhook.Injector {
	return &webhook.Injector{Cache: s.mgr.GetClient(), Live: s.hook, Policy: s.config.AgentInjector.InjectPolicy, Agent: s.agentConfig, Namespaces: s.watch,
		Mesh: s.config.ServiceMesh.Type, Exits: mesh.Exits{Ports: []uint16{server.AgentsPort}}, Outcomes: s.injections, Log: s.log}
}

// newWebhookBundle makes the part that keeps the CA bundle in the webhook's
// configuration up to date.
func (s *shared) newWebhookBundle() *webhook.Bundle {
	return &webhook.Bundle{Client: s.direct, Name: s.options.webhook, PEM: s.authority.Bundle, Log: s.log}
}

// newMesh makes the keeper of Istio's Sidecar objects. It returns nil if the mesh is
// not Istio.
func (s *shared) newMesh() *mesh.Keeper {
	if s.config.ServiceMesh.Type != mesh.Istio {
		return nil
	}
	return &mesh.Keeper{Client: s.direct, Namespace: s.namespace, Managed: s.watch, Log: s.log}
}

// setupControllers adds what only the leader runs: the reconcilers and the Janitor.
func (s *shared) setupControllers(cluster *network.Watcher, sidecars *mesh.Keeper) error {
	c := s.mgr.GetClient()
	replacer := &replacement.Replacer{Cluster: replacement.Cluster{Client: c, Live: s.direct, Log: s.log},
		SchedulingGrace: s.config.AgentInjector.SchedulingGrace.Duration}
	if err := s.mgr.Add(&replacement.Janitor{Replacer: replacer, MaxIdle: s.config.Agent.MaxIdleTime.Duration}); err != nil {
		return err
	}
	return controller.Setup(s.mgr,
		&controller.Intercepts{Client: c, Live: s.direct, Namespace: s.namespace, Replacer: replacer,
			Agents: &controller.EphemeralAgents{Client: c, Authority: s.authority, Config: s.agentConfig, Outcomes: s.injections, Log: s.log},
			Policy: s.config.AgentInjector.InjectPolicy, HasWebhook: s.options.webhook != "", Mesh: controller.Mesh{Client: c, Keeper: sidecars},
			UnmatchedAfter: s.config.Intercept.UnmatchedAfter.Duration, Events: s.mgr.GetEventRecorder("traffic-manager"), Log: s.log},
		&controller.Sessions{Client: c, Namespace: s.namespace, Network: cluster.Network, Changes: cluster.Changes(), Identity: s.guard, Judged: s.judged, Log: s.log})
}
