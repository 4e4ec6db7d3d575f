// Package entrance tells laptops where they reach the traffic-manager without the API server:
// the address that the chart names, or those of the Service traffic-manager-direct.
package entrance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/config"
	"github.com/kubectl-intercept/kubectl-intercept/manager/publication"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/direct"
)

// nodesMax is how many nodes are looked at: some of them are ready.
const nodesMax = 32

// Publisher writes the Entrance into the ConfigMap that laptops read, and removes it where
// there is no direct way any more. Only the leader runs it.
type Publisher struct {
	config.DirectAccess
	// Client reads from the API server, not from a cache.
	Client client.Client
	// Namespace and Name are those of the ConfigMap. The Service is called NAME-direct.
	Namespace, Name string
	Log             *slog.Logger
}

// Start publishes until ctx ends.
func (p *Publisher) Start(ctx context.Context) error {
	publication.Keep(ctx, p.Log, "the direct way in is not published: sessions go by the API server", p.publish)
	return nil
}

func (p *Publisher) publish(ctx context.Context) error {
	e, problem := p.find(ctx)
	_, err := publication.Update(ctx, p.Client, p.Namespace, p.Name, func(cm *corev1.ConfigMap) {
		if e == nil {
			delete(cm.Data, direct.Key)
			return
		}
		cm.Data[direct.Key] = e.String()
	})
	return errors.Join(problem, client.IgnoreNotFound(err)) // the product may have been uninstalled in the meantime
}

// find returns the Entrance; nil if the chart opens none. With an error, which is for the
// administrator, the Entrance says what laptops have to know.
func (p *Publisher) find(ctx context.Context) (*direct.Entrance, error) {
	switch {
	case p.Type == "":
		return nil, nil
	case p.Type == "Ingress":
		return &direct.Entrance{Addresses: []string{address(p.Host, p.Port)}, ServerName: p.Host}, nil
	}
	service, err := p.service(ctx)
	if err != nil {
		return unknown(), fmt.Errorf("read service %s-direct: %w", p.Name, err)
	}
	port := service.Spec.Ports[0]
	switch {
	case p.Type == "LoadBalancer" && p.Host != "":
		return &direct.Entrance{Addresses: []string{address(p.Host, port.Port)}}, nil
	case p.Type == "LoadBalancer":
		return balanced(service, port.Port), nil
	case port.NodePort == 0:
		return &direct.Entrance{Problem: fmt.Sprintf("the Service %s has no node port", service.Name)}, nil
	case p.Host != "":
		return &direct.Entrance{Addresses: []string{address(p.Host, port.NodePort)}}, nil
	}
	var nodes corev1.NodeList
	if err := p.Client.List(ctx, &nodes, client.Limit(nodesMax)); err != nil {
		return unknown(), fmt.Errorf("list nodes: %w", err)
	}
	return ofNodes(nodes.Items, port.NodePort), nil
}

func unknown() *direct.Entrance {
	return &direct.Entrance{Problem: "the traffic-manager cannot find its own address, its log says why"}
}

func (p *Publisher) service(ctx context.Context) (*corev1.Service, error) {
	var s corev1.Service
	if err := p.Client.Get(ctx, client.ObjectKey{Namespace: p.Namespace, Name: p.Name + "-direct"}, &s); err != nil {
		return nil, err
	}
	if len(s.Spec.Ports) == 0 {
		return nil, errors.New("it has no port")
	}
	return &s, nil
}

// balanced is the Entrance of a load balancer.
func balanced(s *corev1.Service, port int32) *direct.Entrance {
	var e direct.Entrance
	for _, i := range s.Status.LoadBalancer.Ingress {
		for _, host := range []string{i.IP, i.Hostname} {
			add(&e, host, port)
		}
	}
	if len(e.Addresses) == 0 {
		e.Problem = fmt.Sprintf("the Service %s has no address yet: the cluster has no load balancer for it so far", s.Name)
	}
	return &e
}

// ofNodes is the Entrance of a port of the ready nodes. Addresses that are for the outside of
// the cluster come first.
func ofNodes(nodes []corev1.Node, port int32) *direct.Entrance {
	var e direct.Entrance
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
		most := len(e.Addresses) + direct.Max/2
		for _, n := range nodes {
			for _, a := range n.Status.Addresses {
				if a.Type == kind && len(e.Addresses) < most && ready(&n) {
					add(&e, a.Address, port)
				}
			}
		}
	}
	if len(e.Addresses) == 0 {
		e.Problem = "no node is ready"
	}
	return &e
}

func ready(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func add(e *direct.Entrance, host string, port int32) {
	if host != "" && len(e.Addresses) < direct.Max {
		e.Addresses = append(e.Addresses, address(host, port))
	}
}

func address(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
