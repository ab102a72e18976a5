package template

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// grant is one right: an action on a resource.
type grant struct{ action, resource string }

// grants are what a policy allows.
func grants(policy any) []grant {
	var out []grant
	for _, statement := range list(at(policy, "Statement")) {
		for _, action := range texts(at(statement, "Action")) {
			for _, resource := range texts(at(statement, "Resource")) {
				if at(statement, "Effect") == "Allow" {
					out = append(out, grant{action, resource})
				}
			}
		}
	}
	return out
}

// granted are the rights of a function's role, but those that it needs to run at all.
func (s *ownStack) granted(function string) []grant {
	role := strings.TrimPrefix(scalar(s.get(function, "Role")), arn(""))
	var out []grant
	for _, policy := range texts(s.get(role, "ManagedPolicyArns")) {
		if policy != "RightToRun" {
			out = append(out, grants(s.get(policy, "PolicyDocument"))...)
		}
	}
	for _, policy := range list(s.get(role, "Policies")) {
		out = append(out, grants(at(policy, "PolicyDocument"))...)
	}
	return out
}

// loginOf reads whom a function is to the database out of the URL that it is given.
func (s *ownStack) loginOf(function string) string {
	url := scalar(s.get(scalar(s.variables(function)["DATABASE_URL_ARN"]), "SecretString"))
	login, _, _ := strings.Cut(strings.TrimPrefix(url, "postgres://"), "@")
	return login
}

// due are the rights that a function's variables, trigger and log call for, and no more.
func (s *ownStack) due(function string) []grant {
	var out []grant
	secrets := map[string]bool{"": true}
	for name, value := range s.variables(function) {
		if secret := scalar(value); strings.HasSuffix(name, "_ARN") && !secrets[secret] {
			secrets[secret] = true
			out = append(out, grant{"secretsmanager:GetSecretValue", secret})
		}
		if name == "COMPENSATION_QUEUE_URL" {
			out = append(out, grant{"sqs:SendMessage", queueARN("CompensationQueue")})
		}
		if name == "DATABASE_IAM" && value == "true" {
			out = append(out, grant{"rds-db:connect", "arn:aws:rds-db:" + Region + ":" + Account + ":dbuser:DatabaseProxy.DBProxy/" + s.loginOf(function)})
		}
	}
	log := arn(scalar(s.get(function, "LoggingConfig", "LogGroup")) + ".Arn")
	out = append(out, grant{"logs:CreateLogStream", log}, grant{"logs:PutLogEvents", log})
	events, _ := s.get(function, "Events").(map[string]any)
	for _, event := range events {
		if at(event, "Type") == "SQS" {
			for _, action := range []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} {
				out = append(out, grant{action, scalar(at(event, "Properties", "Queue"))})
			}
		}
	}
	return out
}

// A function that was broken into can do what its own work needs, whatever is made and whatever is brought; and a function
// that lacks a right would find out with the first buyer.
func TestOwnTemplateGivesEachFunctionExactlyItsRights(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		for _, function := range s.functions() {
			have, due := s.granted(function), s.due(function)
			for _, g := range due {
				if !slices.Contains(have, g) {
					t.Errorf("%s needs %s on %s and may not", function, g.action, g.resource)
				}
			}
			for _, g := range have {
				if !slices.Contains(due, g) {
					t.Errorf("%s may %s on %s and needs not", function, g.action, g.resource)
				}
			}
		}
	})
}

// What that test derives from the variables, said outright for what would hurt most.
func TestOwnTemplateKeepsTheKeysApart(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		// What stands under no name is not there.
		owner, login := "OwnersDatabaseUrl", "FunctionsLogin"
		if _, there := s.made[login]; !there {
			owner, login = scalar(s.refs["MigrateDatabaseUrlArn"]), ""
		}
		const read = "secretsmanager:GetSecretValue"
		queue := queueARN("CompensationQueue")
		for _, key := range []struct {
			grant
			holders []string
		}{
			{grant{read, bring("payment")}, []string{"Admin", "Approve", "Compensate", "Sweep"}},
			{grant{read, owner}, []string{"Migrate"}},
			{grant{read, login}, []string{"Migrate"}},
			{grant{"sqs:SendMessage", queue}, []string{"Admin", "Approve", "Cancel", "Complete", "Sweep"}},
			{grant{"sqs:ReceiveMessage", queue}, []string{"Compensate"}},
		} {
			if key.resource == "" {
				continue
			}
			var holders []string
			for _, function := range s.functions() {
				work := strings.TrimSuffix(function, "Function")
				if slices.Contains(s.granted(function), key.grant) {
					holders = append(holders, work)
				}
				for name, value := range s.variables(function) {
					if key.action == read && value == key.resource && !slices.Contains(key.holders, work) {
						t.Errorf("%s is told of %s by %s", function, value, name)
					}
				}
			}
			if !slices.Equal(holders, key.holders) {
				t.Errorf("%s on %s may %q, not %q", key.action, key.resource, holders, key.holders)
			}
		}
	})
}

// exact is an action or a resource without a wildcard.
var exact = regexp.MustCompile(`^[^*?]+$`)

func TestOwnTemplateGrantsNothingAtLarge(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		policies := map[string][]any{}
		for _, name := range s.of("AWS::IAM::ManagedPolicy") {
			policies[name] = []any{s.get(name, "PolicyDocument")}
		}
		for _, name := range s.of("AWS::IAM::Role") {
			for _, policy := range list(s.get(name, "Policies")) {
				policies[name] = append(policies[name], at(policy, "PolicyDocument"))
			}
			for _, taken := range texts(s.get(name, "ManagedPolicyArns")) {
				if s.made[taken].Type != "AWS::IAM::ManagedPolicy" {
					t.Errorf("%s has %s, which is not ours", name, taken)
				}
			}
			for _, statement := range list(s.get(name, "AssumeRolePolicyDocument", "Statement")) {
				if who := scalar(at(statement, "Principal", "Service")); !exact.MatchString(who) {
					t.Errorf("%s may be taken by %q", name, who)
				}
			}
		}
		for name, documents := range policies {
			for _, document := range documents {
				for _, statement := range list(at(document, "Statement")) {
					if at(statement, "NotAction") != nil || at(statement, "NotResource") != nil {
						t.Errorf("%s allows what it does not name", name)
					}
				}
				for _, g := range grants(document) {
					if !exact.MatchString(g.action) || g.resource != "*" && !exact.MatchString(g.resource) || g.resource == "*" && name != "RightToRun" {
						t.Errorf("%s allows %s on %s", name, g.action, g.resource)
					}
				}
			}
		}
	})
	// What every function may at large is what joins it to its network and tells of its calls, and the first it may not
	// do by itself.
	s := own(t, nil)
	for _, g := range grants(s.get("RightToRun", "PolicyDocument")) {
		denied := slices.ContainsFunc(list(s.get("RightToRun", "PolicyDocument", "Statement")), func(statement any) bool {
			return at(statement, "Effect") == "Deny" && slices.Contains(texts(at(statement, "Action")), g.action)
		})
		if network := strings.HasPrefix(g.action, "ec2:"); denied != network || !network && !strings.HasPrefix(g.action, "xray:Put") {
			t.Errorf("RightToRun allows %s, to the function's own code too: %v", g.action, !denied)
		}
	}
	for _, function := range s.functions() {
		role := strings.TrimPrefix(scalar(s.get(function, "Role")), arn(""))
		if !slices.Contains(texts(s.get(role, "ManagedPolicyArns")), "RightToRun") {
			t.Errorf("%s may not run in its network", function)
		}
	}
}
