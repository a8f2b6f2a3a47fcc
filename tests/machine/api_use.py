"""Which attributes of TensorRT a source uses, and with which releases each use can be reached.

The syntax tree is followed statement by statement with the set of releases that can get there: a
condition on a feature (`api.weak`, `release.has("X")`, `hasattr(flags, "X")`) divides the set, a
`return` or `raise` ends it, and a private function starts with the releases of its callers.
An argument named like a feature is true only where the release has the feature; a call that says
otherwise is a violation too.
"""

import ast
from collections import defaultdict

from edgeseg.machine.support import API, Release, listed

ALL = frozenset(listed())
FEATURES = {name for name, kind in vars(Release).items() if isinstance(kind, property)}
FEATURES = {name for name in FEATURES if all(isinstance(getattr(r, name), bool) for r in ALL)}
MODULE = "tensorrt"
# Parameters typed Any are TensorRT's own: their classes. None: of no class that is looked at.
PARAMETERS = {
    "library": MODULE,
    "trt": MODULE,
    "network": "INetworkDefinition",
    "options": "IBuilderConfig",
    "parser": "OnnxParser",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "clock": None,
    "collector": None,
    "severity": None,
}
RESULTS = {
    "Builder": "Builder",
    "OnnxParser": "OnnxParser",
    "Builder.create_network": "INetworkDefinition",
    "Builder.create_builder_config": "IBuilderConfig",
    "INetworkDefinition.get_layer": "ILayer",
    "ILayer.get_output": "ITensor",
    "OnnxParser.get_error": "ParserError",
    "Runtime": "Runtime",
    "Runtime.deserialize_cuda_engine": "ICudaEngine",
    "ICudaEngine.get_tensor_dtype": "DataType",
    "ICudaEngine.create_execution_context": "IExecutionContext",
    "ICudaEngine.create_runtime_config": "IRuntimeConfig",
    "ICudaEngine.create_engine_inspector": "EngineInspector",
}


def violations(source):
    """Return `line: what` for every use that some release of the matrix cannot follow."""
    reader = Reader(ast.parse(source))
    found = set(reader.problems)
    for line, name, releases in reader.uses:
        if name not in API:
            found.add((line, f"{name} is not in the matrix"))
        elif lacking := [str(r) for r in sorted(releases, key=str) if not r.has(name)]:
            found.add((line, f"{name} is not in {', '.join(lacking)}"))
    return [f"{line}: {what}" for line, what in sorted(found)]


def uses(source):
    """Return the names of all attributes that a source uses."""
    return {name for _, name, _ in Reader(ast.parse(source)).uses}


class Reader:
    """Walks a module until the callers of its private functions are known."""

    def __init__(self, tree):
        self.functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        self.names = {function.name for function in self.functions}
        self.starts = defaultdict(frozenset)
        called = {getattr(n.func, "id", getattr(n.func, "attr", "")) for n in calls(tree)}
        for name in self.names:
            if not (name.startswith("_") and name in called):
                self.starts[name] = ALL
        before = None
        while before != self.starts:
            before = dict(self.starts)
            self.uses, self.problems = set(), set()
            self.block(tree.body, ALL, {})

    def block(self, statements, releases, env):
        """Follow statements; return the releases that come out at their end."""
        for statement in statements:
            releases = self.statement(statement, releases, env)
        return releases

    def statement(self, node, releases, env):
        if isinstance(node, ast.FunctionDef):
            inner = env | {
                a.arg: self.parameter(a) for a in (*node.args.args, *node.args.kwonlyargs)
            }
            self.block(node.body, self.starts[node.name] & releases, inner)
        elif isinstance(node, ast.ClassDef):
            for base in node.bases:
                self.kind(base, releases, env)
            self.block(node.body, releases, dict(env))
        elif isinstance(node, ast.If):
            yes, no = self.divide(node.test, releases, env)
            return self.block(node.body, yes, env) | self.block(node.orelse, no, env)
        elif isinstance(node, ast.Return | ast.Raise):
            self.children(node, releases, env)
            return frozenset()
        elif isinstance(node, ast.For | ast.While | ast.With | ast.Try):
            self.children(node, releases, env)
            for part in ("body", "orelse", "finalbody"):
                self.block(getattr(node, part, []), releases, env)
            for handler in getattr(node, "handlers", []):
                self.block(handler.body, releases, env)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            kind = self.kind(node.value, releases, env) if node.value else None
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    env[target.id] = kind
                else:
                    self.kind(target, releases, env)
        else:
            self.children(node, releases, env)
        return releases

    def parameter(self, argument):
        """Return the class of a parameter typed Any."""
        if getattr(argument.annotation, "id", "") != "Any":
            return None
        if argument.arg not in PARAMETERS:
            self.problems.add((argument.lineno, f"the class of {argument.arg} is not known"))
        return PARAMETERS.get(argument.arg)

    def children(self, node, releases, env):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.comprehension):
                self.children(child, releases, env)
            elif isinstance(child, ast.keyword):
                self.kind(child.value, releases, env)
            elif isinstance(child, ast.expr):
                self.kind(child, releases, env)

    def kind(self, node, releases, env):
        """Return the class or qualified name of an expression of TensorRT's; None of others."""
        if isinstance(node, ast.Name):
            return env.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self.kind(node.value, releases, env)
            if base is None:
                return MODULE if node.attr == "trt" else None
            name = node.attr if base == MODULE else f"{base}.{node.attr}"
            if not node.attr.startswith("__"):
                self.uses.add((node.lineno, name, releases))
            return name
        if isinstance(node, ast.Call):
            return self.call(node, releases, env)
        if isinstance(node, ast.IfExp):
            yes, no = self.divide(node.test, releases, env)
            return self.kind(node.body, yes, env) or self.kind(node.orelse, no, env)
        if isinstance(node, ast.BoolOp):
            self.divide(node, releases, env)
        else:
            self.children(node, releases, env)
        return None

    def call(self, node, releases, env):
        function = self.kind(node.func, releases, env)
        self.children(node, releases, env)
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in self.names and name.startswith("_"):
            self.starts[name] |= releases
        for keyword in node.keywords:
            if keyword.arg in FEATURES:
                true, _ = self.divide(keyword.value, releases, env)
                wrong = [str(r) for r in sorted(true, key=str) if not getattr(r, keyword.arg)]
                if wrong:
                    what = f"{keyword.arg}={ast.unparse(keyword.value)} with {', '.join(wrong)}"
                    self.problems.add((node.lineno, what))
        return RESULTS.get(function, f"{function}()") if function else None

    def divide(self, test, releases, env):
        """Return the releases with which a condition can be true, and those with which false."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self.divide(test.operand, releases, env)[::-1]
        if isinstance(test, ast.BoolOp):
            through, out = releases, frozenset()
            for value in test.values:
                yes, no = self.divide(value, through, env)
                through, done = (yes, no) if isinstance(test.op, ast.And) else (no, yes)
                out |= done
            return (through, out) if isinstance(test.op, ast.And) else (out, through)
        if isinstance(test, ast.Constant):
            return (releases, frozenset()) if test.value else (frozenset(), releases)
        if isinstance(test, ast.Name) and test.id in FEATURES:
            return frozenset(r for r in releases if getattr(r, test.id)), releases
        having = self.having(test, env)
        if having is None:
            self.kind(test, releases, env)
            return releases, releases
        return releases & having, releases - having

    def having(self, test, env):
        """Return the releases that a condition on a feature names; None of other conditions."""
        if isinstance(test, ast.Attribute) and test.attr in FEATURES:
            return frozenset(r for r in ALL if getattr(r, test.attr))
        if not isinstance(test, ast.Call):
            return None
        called = getattr(test.func, "id", getattr(test.func, "attr", ""))
        last = test.args[-1].value if test.args and isinstance(test.args[-1], ast.Constant) else ""
        if called == "hasattr":
            owner = self.kind(test.args[0], frozenset(), env)
            last = last if owner in (None, MODULE) else f"{owner}.{last}"
        if called in ("has", "hasattr") and last in API:
            return frozenset(r for r in ALL if r.has(last))
        return None


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
