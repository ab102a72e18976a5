package template

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// subnetKind is what the subnets are called for, those of the stack and those that are brought.
var subnetKind = regexp.MustCompile(`(?i)^(gateway|private)`)

// subnetsOf are the kinds of the subnets that a function stands in.
func (s *ownStack) subnetsOf(function string) []string {
	var out []string
	for _, subnet := range texts(s.get(function, "VpcConfig", "SubnetIds")) {
		out = append(out, strings.ToLower(subnetKind.FindString(subnet)))
	}
	return slices.Compact(out)
}

// Only what calls the payment gateway gets out.
func TestOwnTemplateLetsOutWhoCallsTheGateway(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		for _, function := range s.functions() {
			subnets, group := []string{"private"}, "StepSecurityGroup"
			if s.variables(function)["PAYMENT_GATEWAY_URL"] != nil {
				subnets, group = []string{"gateway"}, "GatewaySecurityGroup"
			}
			zones := len(list(s.get(function, "VpcConfig", "SubnetIds")))
			if got := s.subnetsOf(function); !slices.Equal(got, subnets) || zones != 2 {
				t.Errorf("%s stands in %q, in %d zones, want %q in two", function, got, zones, subnets)
			}
			if got := texts(s.get(function, "VpcConfig", "SecurityGroupIds")); !slices.Equal(got, []string{group + ".GroupId"}) {
				t.Errorf("%s has the security groups %q, want %s", function, got, group)
			}
		}
	})
}

// ways are the targets of the default routes of a subnet.
func (s *ownStack) ways(subnet string) []string {
	var out []string
	for _, a := range s.of("AWS::EC2::SubnetRouteTableAssociation") {
		for _, route := range s.of("AWS::EC2::Route") {
			if s.get(a, "SubnetId") == subnet && s.get(route, "RouteTableId") == s.get(a, "RouteTableId") {
				out = append(out, scalar(s.get(route, "GatewayId"))+scalar(s.get(route, "NatGatewayId")))
			}
		}
	}
	return out
}

func TestOwnTemplateRoutesItsSubnets(t *testing.T) {
	for stage, nats := range map[string][]string{"dev": {"NatA", "NatA"}, "prod": {"NatA", "NatB"}} {
		s := own(t, map[string]string{"Stage": stage})
		for i, zone := range []string{"A", "B"} {
			for kind, way := range map[string][]string{"Public": {"InternetGateway"}, "Gateway": {nats[i]}, "Private": nil} {
				if got := s.ways(kind + "Subnet" + zone); !slices.Equal(got, way) {
					t.Errorf("%s: %s subnet %s leads to %q, want %q", stage, kind, zone, got, way)
				}
			}
		}
		for _, nat := range s.of("AWS::EC2::NatGateway") {
			if subnet := scalar(s.get(nat, "SubnetId")); !slices.Equal(s.ways(subnet), []string{"InternetGateway"}) {
				t.Errorf("%s: %s stands in %s", stage, nat, subnet)
			}
		}
		zones := map[any]int{}
		for _, subnet := range s.of("AWS::EC2::Subnet") {
			zones[s.get(subnet, "AvailabilityZone")]++
			if s.get(subnet, "MapPublicIpOnLaunch") == true {
				t.Errorf("%s gives out public addresses", subnet)
			}
		}
		if len(zones) != 2 || zones["zone-a"] != 3 {
			t.Errorf("%s: subnets by zone %v", stage, zones)
		}
	}
}

// Whoever may speak to a server is another group of ours; no door is open to an address.
func TestOwnTemplateLetsInOnlyItsOwnGroups(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		in := map[string][]string{}
		add := func(group string, rule any) {
			if at(rule, "CidrIp") != nil || at(rule, "CidrIpv6") != nil {
				t.Errorf("%s lets in %v", group, rule)
			}
			in[group] = append(in[group], strings.TrimSuffix(scalar(at(rule, "SourceSecurityGroupId")), ".GroupId")+" "+scalar(at(rule, "FromPort"))+"-"+scalar(at(rule, "ToPort")))
		}
		for _, group := range s.of("AWS::EC2::SecurityGroup") {
			for _, rule := range list(s.get(group, "SecurityGroupIngress")) {
				add(group, rule)
			}
			// Without a rule of its own a group lets out everything.
			if len(list(s.get(group, "SecurityGroupEgress"))) == 0 {
				t.Errorf("%s lets out everything", group)
			}
		}
		for _, rule := range s.of("AWS::EC2::SecurityGroupIngress") {
			add(strings.TrimSuffix(scalar(s.get(rule, "GroupId")), ".GroupId"), s.made[rule].Properties)
		}
		for group, want := range map[string][]string{
			"StepSecurityGroup": nil, "GatewaySecurityGroup": nil,
			"EndpointSecurityGroup": {"GatewaySecurityGroup 443-443", "StepSecurityGroup 443-443"},
			"ProxySecurityGroup":    {"GatewaySecurityGroup 5432-5432", "StepSecurityGroup 5432-5432"},
			"DatabaseSecurityGroup": {"ProxySecurityGroup 5432-5432"},
			"CacheSecurityGroup":    {"GatewaySecurityGroup 6379-6379", "StepSecurityGroup 6379-6379"},
		} {
			if _, there := s.made[group]; !there {
				want = nil
			}
			if got := in[group]; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
				t.Errorf("%s lets in %q, want %q", group, got, want)
			}
		}
	})
}

func TestOwnTemplateDatabase(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		if _, there := s.made["Database"]; !there {
			for _, kind := range []string{"AWS::RDS::DBInstance", "AWS::RDS::DBProxy", "AWS::RDS::DBSubnetGroup", "AWS::RDS::DBParameterGroup"} {
				if names := s.of(kind); len(names) > 0 {
					t.Errorf("beside the database that is brought there is %q", names)
				}
			}
			return
		}
		prod := scalar(s.refs["Stage"]) == "prod"
		days := 1
		if prod {
			days = 14
		}
		for what, want := range map[string]any{
			"PubliclyAccessible": false, "StorageEncrypted": true, "MultiAZ": prod, "DeletionProtection": prod, "BackupRetentionPeriod": days,
			"ManageMasterUserPassword": true, "EnableIAMDatabaseAuthentication": true, "MasterUserPassword": nil,
			"DBParameterGroupName": "DatabaseParameters", "DBSubnetGroupName": "DatabaseSubnets",
		} {
			if got := s.get("Database", what); got != want {
				t.Errorf("the database's %s is %v, want %v", what, got, want)
			}
		}
		if s.made["Database"].Deletion != "Snapshot" {
			t.Errorf("with the stack the database is %q", s.made["Database"].Deletion)
		}
		if s.get("DatabaseParameters", "Parameters", "rds.force_ssl") != "1" || s.get("DatabaseProxy", "RequireTLS") != true {
			t.Error("the database speaks plain text")
		}
		for _, login := range list(s.get("DatabaseProxy", "Auth")) {
			if at(login, "IAMAuth") != "REQUIRED" {
				t.Errorf("the proxy lets in whoever has a password: %v", login)
			}
		}
		s.stands(t, "VPCSecurityGroups", "Database", "DatabaseSecurityGroup")
		s.stands(t, "VpcSecurityGroupIds", "DatabaseProxy", "ProxySecurityGroup")
		s.isPrivate(t, s.get("DatabaseSubnets", "SubnetIds"))
		s.isPrivate(t, s.get("DatabaseProxy", "VpcSubnetIds"))
	})
}

func TestOwnTemplateGate(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		if _, there := s.made["Cache"]; !there {
			return
		}
		prod, cluster := scalar(s.refs["Stage"]) == "prod", scalar(s.refs["CacheShards"]) != "1"
		for what, want := range map[string]any{
			"TransitEncryptionEnabled": true, "TransitEncryptionMode": "required", "AtRestEncryptionEnabled": true,
			"AuthToken": "{{resolve:secretsmanager:CachePassword}}", "CacheParameterGroupName": "CacheParameters", "CacheSubnetGroupName": "CacheSubnets",
			"AutomaticFailoverEnabled": prod || cluster, "MultiAZEnabled": prod || cluster,
		} {
			if got := s.get("Cache", what); got != want {
				t.Errorf("the cache's %s is %v, want %v", what, got, want)
			}
		}
		if policy := s.get("CacheParameters", "Properties", "maxmemory-policy"); policy != "noeviction" {
			t.Errorf("a cache that is full does %v", policy)
		}
		if on := s.get("CacheParameters", "Properties", "cluster-enabled"); on != map[bool]string{true: "yes", false: "no"}[cluster] {
			t.Errorf("a cluster: %v", on)
		}
		// Two URLs tell the functions of a cluster, also where they are the same.
		urls := strings.Split(scalar(s.get("CacheUrl", "SecretString")), ",")
		for _, url := range urls {
			if !strings.HasPrefix(url, "rediss://:{{resolve:secretsmanager:CachePassword}}@Cache.") || !strings.HasSuffix(url, ":6379") {
				t.Errorf("the functions find the cache at %q", url)
			}
		}
		if (len(urls) > 1) != cluster {
			t.Errorf("%d URLs, and a cluster: %v", len(urls), cluster)
		}
		s.stands(t, "SecurityGroupIds", "Cache", "CacheSecurityGroup")
		s.isPrivate(t, s.get("CacheSubnets", "SubnetIds"))
	})
}

func (s *ownStack) stands(t *testing.T, property, server, group string) {
	t.Helper()
	if got := texts(s.get(server, property)); !slices.Equal(got, []string{group + ".GroupId"}) {
		t.Errorf("%s has the security groups %q, want %s", server, got, group)
	}
}

// isPrivate holds that subnets are the private ones, in two zones.
func (s *ownStack) isPrivate(t *testing.T, subnets any) {
	t.Helper()
	want := []string{"PrivateSubnetA", "PrivateSubnetB"}
	if scalar(s.refs["VpcId"]) != "" {
		want = []string{"private-a", "private-b"}
	}
	if got := texts(subnets); !slices.Equal(got, want) {
		t.Errorf("a server stands in %q, want %q", got, want)
	}
}
