# What the scripts of this folder share: words, the names of things, and waiting. Sourced, not run; $here is this folder.
# shellcheck shell=bash

# The stack's name, with which everything that it makes begins.
stack=${COVEY_STACK:-covey}
here=${here:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)}
script=containers/$(basename "$0")

say() { echo "$script: $*"; }
fail() {
  echo "$script: error: $*" >&2
  exit 1
}
usage_error() {
  echo "$script: error: $*; see $script --help" >&2
  exit 2
}

# The comment at the head of the script is its help.
show_help_for() {
  case "${1:-}" in
  -h | --help)
    sed -n '2,/^[^#]/{/^[^#]/d;s/^# \{0,1\}//;p}' "$0"
    exit 0
    ;;
  esac
}

# Waits until a command succeeds: wait_for SECONDS WHAT COMMAND...
wait_for() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  while ! "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $until ] || fail "$what: not within the time; look at docker service ps --no-trunc ${stack}_controller ${stack}_node"
    sleep 0.2
  done
}

need_engine() { docker info >/dev/null 2>&1 || fail "no Docker engine answers: run containers/engine, or set DOCKER_HOST"; }

# The id of the running container of a service here: of its replica N, or of any.
container_of() {
  docker ps -q --filter "label=com.docker.swarm.service.name=${stack}_$1" --filter "name=^${stack}_$1[.]${2:-}" | head -n 1
}

controller_container() {
  local id
  id=$(container_of controller)
  [ -n "$id" ] || fail "there is no container of ${stack}_controller here: run containers/create-cluster, or containers/start-cluster if it was stopped (on several hosts: with the DOCKER_HOST of the one that has it)"
  echo "$id"
}

in_controller() {
  local id
  id=$(controller_container) && docker exec "$id" "$@"
}

service_exists() { docker service inspect "${stack}_$1" >/dev/null 2>&1; }
replicas_wanted() { docker service inspect -f '{{.Spec.Mode.Replicated.Replicas}}' "${stack}_$1" 2>/dev/null || echo 0; }

# How many nodes answer and take work.
nodes_ready() { in_controller sinfo -h -N -o '%N %t' | sort -u | grep -cE ' (idle|mix|alloc)$' || true; }
nodes_are() { [ "$(nodes_ready)" = "$1" ]; }
controller_answers() { in_controller scontrol ping; }

# Whether a service has all its containers, and none that is made by what its stack file said before.
is_settled() {
  local wanted task tasks=0
  # An engine leaves out of a task what is empty.
  wanted=$(docker service inspect -f '{{json .Spec.TaskTemplate.ContainerSpec}}' "${stack}_$1" | sed 's/,"DNSConfig":{}//') || return 1
  for task in $(docker service ps -q --filter desired-state=running "${stack}_$1"); do
    case $(docker inspect --type task -f '{{.Status.State}} {{json .Spec.ContainerSpec}}' "$task" | sed 's/,"DNSConfig":{}//') in
    "running $wanted" | "starting $wanted") tasks=$((tasks + 1)) ;;
    *) return 1 ;;
    esac
  done
  [ $tasks = "$(replicas_wanted "$1")" ]
}

wait_controller() {
  wait_for 180 "waiting for the container of the controller" is_settled controller
  wait_for 120 "waiting for the controller" controller_answers
}

# Waits for the controller and N nodes beside that of its own container.
wait_ready() {
  wait_controller
  wait_for 300 "waiting for the containers of the nodes" is_settled node
  wait_for 180 "waiting for $(($1 + 1)) nodes" nodes_are $(($1 + 1))
}

containers_gone() { [ -z "$(docker ps -q --filter "label=com.docker.swarm.service.name=${stack}_$1")" ]; }

# A join token as a secret, made anew where the one that is there is not good any more. Sets COVEY_JOIN_SECRET.
ensure_join_secret() {
  local name id good made
  good=$(in_controller covey node token list --json | tr -d ' \n')
  for name in $(docker secret ls --filter "label=covey.join=$stack" --format '{{.Name}}'); do
    id=$(docker secret inspect -f '{{index .Spec.Labels "covey.token"}}' "$name")
    if echo "$good" | grep -q "{[^}]*\"id\":$id,[^}]*\"state\":\"VALID\""; then
      export COVEY_JOIN_SECRET=$name
      return
    fi
  done
  # It passes through pipes alone: it stands in no file, argument or output.
  made=$(in_controller covey node token create --ttl 365d --json)
  id=$(echo "$made" | grep -o '"id":[0-9]*' | cut -d: -f2)
  name=${stack}_join_$id
  echo "$made" | sed 's/.*"token":"\([^"]*\)".*/\1/' |
    docker secret create --label "covey.join=$stack" --label "covey.token=$id" \
      --label "com.docker.stack.namespace=$stack" "$name" - >/dev/null
  export COVEY_JOIN_SECRET=$name
}

# The variables of stores as a secret, out of a file or, without one, empty; another content is another secret. Sets
# COVEY_STORE_SECRET.
ensure_store_secret() {
  local file=$1 name
  if [ -z "$file" ]; then
    # Who says nothing keeps what is there.
    COVEY_STORE_SECRET=$(docker service inspect -f '{{range .Spec.TaskTemplate.ContainerSpec.Secrets}}{{if eq .File.Name "store"}}{{.SecretName}}{{end}}{{end}}' "${stack}_controller" 2>/dev/null || true)
    export COVEY_STORE_SECRET
    [ -z "$COVEY_STORE_SECRET" ] || return 0
  fi
  name=${stack}_store_$({ [ -z "$file" ] || cat "$file"; } | sha256sum | cut -c1-12)
  if ! docker secret inspect "$name" >/dev/null 2>&1; then
    { echo '# the keys of blob stores, as NAME=VALUE'; [ -z "$file" ] || cat "$file"; } |
      docker secret create --label "com.docker.stack.namespace=$stack" "$name" - >/dev/null
  fi
  export COVEY_STORE_SECRET=$name
}

# What the stack files read. Sizes are those of each node; beyond its tasks a container has room for the daemons.
stack_variables() {
  export COVEY_NODES=${COVEY_NODES:-8} COVEY_IMAGE=${COVEY_IMAGE:-covey:latest} COVEY_NODE_CPUS=${COVEY_NODE_CPUS:-2}
  export COVEY_NODE_MEMORY=${COVEY_NODE_MEMORY:-1024}
  export COVEY_NODE_LIMIT=$((COVEY_NODE_MEMORY + 512))
}

# Deploys these files of stack/ as one stack.
deploy() {
  local file words=()
  for file in "$@"; do words+=(--compose-file "$here/stack/$file.yml"); done
  # Newer clients wait for the tasks unless they are told; here it is the nodes that are waited for.
  if docker stack deploy --help | grep -q -e --detach; then words+=(--detach=true); fi
  docker stack deploy "${words[@]}" --resolve-image never "$stack" >/dev/null ||
    fail "docker stack deploy failed; it says why above"
}

# Makes it N nodes beside linux0, with a token that is good.
start_nodes() {
  local before
  before=$(docker service inspect -f '{{range .Spec.TaskTemplate.ContainerSpec.Secrets}}{{if eq .File.Name "join"}}{{.SecretName}}{{end}}{{end}}' "${stack}_node")
  ensure_join_secret
  local words=(--replicas "$1")
  [ "$before" = "$COVEY_JOIN_SECRET" ] ||
    words+=(--secret-rm "$before" --secret-add "source=$COVEY_JOIN_SECRET,target=join,mode=0400")
  docker service update --quiet --detach "${words[@]}" "${stack}_node" >/dev/null
  wait_ready "$1"
}
