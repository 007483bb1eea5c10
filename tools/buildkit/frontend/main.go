// A frontend that is none for Dockerfiles, for test/integration/buildrun/builds/frontend.test.ts. Its recipe is a line
// of text; it has the targets "package" and "stamp", reads the named contexts "worker" and "tools", the secret "token"
// and the build arg VERSION, and makes files. Its target "signed" takes a git repository only with a signature, whose
// URL and public key are the lines of the recipe. To any question it answers that it has found fault.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/frontend/gateway/grpcclient"
	"github.com/moby/buildkit/util/appcontext"
)

func main() {
	if err := grpcclient.RunFromEnvironment(appcontext.Context(), build); err != nil {
		log.Fatal(err)
	}
}

func named(ctx context.Context, ui *dockerui.Client, name string) (llb.State, error) {
	found, err := ui.NamedContext(name, dockerui.ContextOpt{})
	if err != nil {
		return llb.State{}, err
	}
	if found == nil {
		return llb.State{}, fmt.Errorf("the named context %q is missing", name)
	}
	state, _, err := found.Load(ctx)
	if err != nil {
		return llb.State{}, err
	}
	return *state, nil
}

// Build args that it does not know are refused, as some frontends do.
func version(opts map[string]string) (string, error) {
	for key := range opts {
		if name, isArg := strings.CutPrefix(key, "build-arg:"); isArg && name != "VERSION" {
			return "", fmt.Errorf("unknown arg %q", name)
		}
	}
	return opts["build-arg:VERSION"], nil
}

func build(ctx context.Context, c client.Client) (*client.Result, error) {
	opts := c.BuildOpts().Opts
	if opts["requestid"] != "" {
		result := client.NewResult()
		result.AddMeta("result.statuscode", []byte("2"))
		result.AddMeta("result.txt", []byte("the recipe is not to my taste"))
		result.AddMeta("version", []byte("1.0.0"))
		return result, nil
	}
	ui, err := dockerui.NewClient(c)
	if err != nil {
		return nil, err
	}
	recipe, err := ui.ReadEntrypoint(ctx, "recipe")
	if err != nil {
		return nil, err
	}
	number, err := version(opts)
	if err != nil {
		return nil, err
	}
	var state llb.State
	switch target := opts["target"]; target {
	case "stamp":
		state = llb.Scratch().File(llb.Mkfile("/stamp", 0o644, []byte(number)))
	case "package":
		state, err = packaged(ctx, ui, strings.TrimSpace(string(recipe.Data)), number)
	case "signed":
		state = signed(string(recipe.Data))
	default:
		err = fmt.Errorf("no such target %q", target)
	}
	if err != nil {
		return nil, err
	}
	definition, err := state.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	return c.Solve(ctx, client.SolveRequest{Definition: definition.ToPB()})
}

// BuildKit's own package has no option for it (solver/pb/attr.go, v0.34.2).
func signed(recipe string) llb.State {
	url, key, _ := strings.Cut(strings.TrimSpace(recipe), "\n")
	_, path, _ := strings.Cut(url, "//")
	attrs := map[string]string{"git.fullurl": url, "git.sig.pubkey": key}
	return llb.NewState(llb.NewSource("git://"+path+"#main", attrs, llb.Constraints{}).Output())
}

func packaged(ctx context.Context, ui *dockerui.Client, name, number string) (llb.State, error) {
	worker, err := named(ctx, ui, "worker")
	if err != nil {
		return llb.State{}, err
	}
	tools, err := named(ctx, ui, "tools")
	if err != nil {
		return llb.State{}, err
	}
	script := fmt.Sprintf("mkdir -p /out/p && sh /tools/pack.sh %s > /out/p/%s-%s.pkg", number, name, number)
	run := worker.Run(
		llb.Args([]string{"/bin/sh", "-c", script}),
		llb.AddMount("/tools", tools, llb.Readonly),
		llb.AddSecret("/run/secrets/token", llb.SecretID("token")),
		llb.Network(llb.NetModeNone),
	)
	return run.AddMount("/out", llb.Scratch()), nil
}
