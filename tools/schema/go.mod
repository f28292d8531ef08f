// Marks this folder as a module. generate.sh builds it with one of versions/*.mod, a Kubernetes version each.
module github.com/signed-pods/schema

go 1.26.0
