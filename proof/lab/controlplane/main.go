// Command controlplane is a Kubernetes control plane in one executable, for tests on one machine.
//
// It is started under the name of the component that it shall be (etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler), through a symbolic link, or with that name as its first argument.
// One executable links the shared four fifths of these programs once, which keeps the build short.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const etcd = "etcd"

// components maps a name to the command that runs it. etcd is absent: it parses os.Args by itself.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

func main() {
	name := filepath.Base(os.Args[0])
	if name != etcd && components[name] == nil {
		if len(os.Args) < 2 {
			usage(name)
		}
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	if name == etcd {
		etcdmain.Main(os.Args)
		return
	}
	command := components[name]
	if command == nil {
		usage(name)
	}
	os.Exit(cli.Run(command()))
}

// usage never returns: 2 is the exit code of every component for a wrong command line.
func usage(name string) {
	fmt.Fprintf(os.Stderr, "%s is not a component; use one of etcd, kube-apiserver, kube-controller-manager, kube-scheduler\n", name)
	os.Exit(2)
}
