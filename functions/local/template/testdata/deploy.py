"""Translates template.yaml as SAM does, creates it as stacks of moto's, side by side, and prints what is then there.

Arguments: the template, and {"stack's name": {parameters}} as JSON. What moto does not know is left out, by the lists below
and by nothing else: a type or attribute that is in no list fails, and so does a list that names what is not there, or what
moto has come to know.
"""

import copy
import io
import json
import re
import sys
import zipfile

import boto3
from moto import mock_aws
from moto.cloudformation import cloudformation_backends, parsing
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# As the Go side of the tests has them; moto reads its account from MOTO_ACCOUNT_ID.
REGION, ACCOUNT = "us-east-1", "000000000000"

NO_MODEL = "moto's CloudFormation makes no such resource"
TYPES = {
    "AWS::ApiGatewayV2::Api": NO_MODEL,
    "AWS::ApiGatewayV2::Stage": NO_MODEL,
    "AWS::CloudWatch::Alarm": NO_MODEL + "; put by PutMetricAlarm instead",
    "AWS::CodeDeploy::Application": NO_MODEL,
    "AWS::CodeDeploy::DeploymentGroup": NO_MODEL,
    "AWS::Cognito::UserPool": NO_MODEL,
    "AWS::Cognito::UserPoolClient": NO_MODEL,
    "AWS::ElastiCache::ParameterGroup": NO_MODEL,
    "AWS::ElastiCache::ReplicationGroup": NO_MODEL,
    "AWS::ElastiCache::SubnetGroup": NO_MODEL,
    "AWS::Lambda::Alias": NO_MODEL,
    "AWS::Lambda::EventInvokeConfig": NO_MODEL,
    "AWS::RDS::DBProxy": NO_MODEL,
    "AWS::RDS::DBProxyTargetGroup": NO_MODEL,
    "AWS::SNS::Subscription": NO_MODEL,
    "AWS::SQS::QueuePolicy": NO_MODEL,
    "AWS::Scheduler::Schedule": NO_MODEL,
    "AWS::SecretsManager::Secret": NO_MODEL,
    "Custom::Schema": "its function would run in a container",
}
NO_NAME = "moto makes one, and does not tell of it"
UNTOLD = {
    "AWS::EC2::SecurityGroupIngress": NO_NAME,
    "AWS::RDS::DBParameterGroup": NO_NAME,
    "AWS::RDS::DBSubnetGroup": NO_NAME,
}
ATTRIBUTES = {
    "Database.MasterUserSecret.SecretArn": "moto has no such attribute of a database",
    "Database.DbiResourceId": "moto has no such attribute of a database",
}
PROPERTIES = {
    "Database.DBParameterGroupName": "moto does not take the group of the same stack",
}
# An alias is called by its function. What !Ref of these is, is an ARN.
BY_ARN = ("AWS::SecretsManager::Secret", "AWS::Lambda::Alias")


def translated(path):
    """The template as CloudFormation gets it from SAM."""
    with open(path, encoding="utf-8") as f:
        template = yaml_parse(f.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            name = resource["Properties"]["CodeUri"].split("/")[1]
            resource["Properties"]["CodeUri"] = {"Bucket": "code", "Key": name + ".zip"}
    return Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION)).translate(template, {})


def arn(name):
    return f"arn:aws:any:{REGION}:{ACCOUNT}:any:{name}"


class Cut:
    """The template less what moto does not know, with a name in place of each reference to that."""

    def __init__(self, whole):
        self.used = set()
        self.gone = {name: r["Type"] for name, r in whole["Resources"].items() if r["Type"] in TYPES}
        self.used.update(self.gone.values())
        whole = copy.deepcopy(whole)
        for resource in whole["Resources"].values():
            called = resource.get("Properties", {}).get("FunctionName", {})
            if isinstance(called, dict) and self.gone.get(called.get("Ref")) == "AWS::Lambda::Alias":
                resource["Properties"]["FunctionName"] = whole["Resources"][called["Ref"]]["Properties"]["FunctionName"]
        self.template = self.walk(whole)
        resources = self.template["Resources"]
        self.left = {name: resources.pop(name) for name in self.gone}
        for path in PROPERTIES:
            name, key = path.split(".")
            del resources[name]["Properties"][key]
        for resource in resources.values():
            after = resource.pop("DependsOn", [])
            resource["DependsOn"] = [n for n in ([after] if isinstance(after, str) else after) if n not in self.gone]
        stale = (set(TYPES) | set(ATTRIBUTES)) - self.used | set(TYPES) & set(parsing.get_model_map())
        if stale:
            raise SystemExit(f"left out for nothing: {sorted(stale)}")
        unknown = {r["Type"] for r in resources.values()} - set(parsing.get_model_map())
        if unknown:
            raise SystemExit(f"moto does not know {sorted(unknown)}")

    def name(self, name, attribute=""):
        """What stands for a reference, or nothing if moto knows it."""
        whole = f"{name}.{attribute}".rstrip(".")
        if name not in self.gone and whole not in ATTRIBUTES:
            return None
        self.used.add(whole)
        return arn(name) if attribute.endswith("Arn") or not attribute and self.gone[name] in BY_ARN else whole

    def walk(self, node):
        if isinstance(node, list):
            return [self.walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("Ref"), str):
            return self.name(node["Ref"]) or node
        if "Fn::GetAtt" in node:
            path = node["Fn::GetAtt"]
            name, attribute = path.split(".", 1) if isinstance(path, str) else (path[0], ".".join(path[1:]))
            return self.name(name, attribute) or node
        if "Fn::Sub" in node:
            sub = node["Fn::Sub"]
            return {"Fn::Sub": self.text(sub) if isinstance(sub, str) else [self.text(sub[0]), self.walk(sub[1])]}
        return {key: self.walk(value) for key, value in node.items()}

    def text(self, text):
        return re.sub(r"\$\{(\w+)\.?([\w.]*)\}", lambda m: self.name(m[1], m[2]) or m[0], text)


def drop_no_values():
    """moto keeps AWS::NoValue in a list, as null, where CloudFormation drops it."""
    clean = parsing.clean_json

    def dropping(node, resources):
        if isinstance(node, list):
            return [item for item in (dropping(one, resources) for one in node) if item is not None]
        return clean(node, resources)

    parsing.clean_json = dropping


def put_alarms(cut, stack):
    """Puts the stack's alarms by the API, whose input is what CloudFormation takes."""
    cloudwatch = boto3.client("cloudwatch", REGION)
    backend = cloudformation_backends[ACCOUNT][REGION].get_stack(stack)
    for name, resource in cut.left.items():
        condition = resource.get("Condition")
        if resource["Type"] != "AWS::CloudWatch::Alarm" or condition and not backend.resource_map.lazy_condition_map[condition]:
            continue
        cloudwatch.put_metric_alarm(AlarmName=f"{stack}-{name}", **parsing.clean_json(resource["Properties"], backend.resource_map))


def there(stack):
    """What of a stack is there, by logical name, as the services themselves tell of it."""
    client = lambda service: boto3.client(service, REGION)
    cloudformation, sqs, functions, iam = client("cloudformation"), client("sqs"), client("lambda"), client("iam")
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    made = {"Status": described["StackStatus"], "Resources": {}, "Queues": {}, "Functions": {}, "Roles": {}, "Logs": {}}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for r in page["StackResourceSummaries"]:
            made["Resources"][r["LogicalResourceId"]] = r["PhysicalResourceId"]
            name, kind = r["PhysicalResourceId"], r["ResourceType"]
            if kind == "AWS::SQS::Queue":
                made["Queues"][r["LogicalResourceId"]] = sqs.get_queue_attributes(QueueUrl=name, AttributeNames=["All"])["Attributes"]
            elif kind == "AWS::Lambda::Function":
                answer = functions.get_function_configuration(FunctionName=name)
                kept = functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
                made["Functions"][r["LogicalResourceId"]] = answer | {"Kept": kept or 0}
            elif kind == "AWS::IAM::Role":
                made["Roles"][r["LogicalResourceId"]] = iam.get_role(RoleName=name)["Role"]["Arn"]
            elif kind == "AWS::Logs::LogGroup":
                group = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]
                made["Logs"][r["LogicalResourceId"]] = {"Name": group["logGroupName"], "Days": group.get("retentionInDays", 0)}
    alarms = client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=stack + "-")
    made["Alarms"] = sorted(a["AlarmName"].removeprefix(stack + "-") for page in alarms for a in page["MetricAlarms"])
    return made


@mock_aws(config={"lambda": {"use_docker": False}})
def deploy(path, stacks):
    drop_no_values()
    whole = translated(path)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("bootstrap", "")
    s3 = boto3.client("s3", REGION)
    s3.create_bucket(Bucket="code")
    for resource in whole["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            s3.put_object(Bucket="code", Key=resource["Properties"]["Code"]["S3Key"], Body=code.getvalue())
    out = {"Left": TYPES | UNTOLD | ATTRIBUTES | PROPERTIES, "Stacks": {}}
    cut = Cut(whole)
    for stack, parameters in stacks.items():
        boto3.client("cloudformation", REGION).create_stack(
            StackName=stack,
            TemplateBody=json.dumps(cut.template),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        put_alarms(cut, stack)
    out["Stacks"] = {stack: there(stack) for stack in stacks}
    json.dump(out, sys.stdout, default=str)


deploy(sys.argv[1], json.loads(sys.argv[2]))
