package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
)

// image is the one that `sam local` lays its runtime emulator on, for functions with Runtime: provided.al2023.
const image = "public.ecr.aws/lambda/provided:al2023-"

// docker runs a command of the docker client. An error holds what it said.
func docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = errors.New(strings.Join(strings.Fields(string(exit.Stderr)), " "))
	}
	return strings.TrimSpace(string(out)), err
}

// needDocker says what is missing of Docker, in one line.
func needDocker(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("docker is not installed: get Docker Desktop, or `apt-get install docker.io`")
	}
	if _, err := docker(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return fmt.Errorf("the Docker daemon does not answer: start Docker Desktop, or `dockerd` as root (%w)", err)
	}
	return nil
}

// needImage loads the image unless it is here, so that SAM need not ask for it.
func needImage(ctx context.Context, architecture string) error {
	name := image + architecture
	if _, err := docker(ctx, "image", "inspect", name); err == nil {
		return nil
	}
	fmt.Println("loading the image", name, "(once, some hundred MB) …")
	if _, err := docker(ctx, "pull", "--quiet", name); err != nil {
		return fmt.Errorf("the image %s cannot be loaded: %w", name, err)
	}
	return nil
}

// bridge tells how containers reach this machine: second is the address on which its servers have to listen for that,
// and host what host.docker.internal stands for. Where Docker runs in a machine of its own, as Docker Desktop does, it
// hands connections on to 127.0.0.1 by itself, and second is empty.
func bridge(ctx context.Context) (second, host string, err error) {
	said, err := docker(ctx, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}")
	if err != nil {
		return "", "", fmt.Errorf("docker network inspect bridge: %w", err)
	}
	_, subnet, err := net.ParseCIDR(said)
	if err != nil {
		return "", "", fmt.Errorf("docker network inspect bridge: %w", err)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return "", "", err
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && subnet.Contains(n.IP) {
			return n.IP.String(), n.IP.String(), nil
		}
	}
	return "", "host-gateway", nil
}

// removeContainers removes those whose code is mounted from the folder of the build, and says how many there were.
func removeContainers(ctx context.Context, build string) (int, error) {
	folders, err := filepath.Glob(filepath.Join(build, "*Function"))
	if err != nil || len(folders) == 0 {
		return 0, err
	}
	list := []string{"ps", "--all", "--quiet"}
	for _, f := range folders {
		list = append(list, "--filter", "volume="+f)
	}
	out, err := docker(ctx, list...)
	if err != nil {
		return 0, fmt.Errorf("docker ps: %w", err)
	}
	ids := strings.Fields(out)
	if len(ids) == 0 {
		return 0, nil
	}
	_, err = docker(ctx, append([]string{"rm", "--force"}, ids...)...)
	// One that SAM removes at the same moment is gone as well.
	if err != nil && !strings.Contains(err.Error(), "No such container") && !strings.Contains(err.Error(), "already in progress") {
		return len(ids), fmt.Errorf("docker rm: %w", err)
	}
	return len(ids), nil
}
