//! Implements [`AccessReview`] with a SelfSubjectAccessReview for each permission, which every user may create:
//! <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access>.

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::{BINDING_APIS, K8s, read};
use crate::domain::traffic::Unreadable;
use crate::domain::view::permissions::Grant;
use crate::port::AccessReview;

#[async_trait]
impl AccessReview for K8s {
    async fn allowed(&self, grant: &Grant) -> Result<bool, Unreadable> {
        let mut group = grant.group.clone();
        // A cluster in Auto Mode serves the bindings in another group.
        if group == BINDING_APIS[0].0
            && let Some(api) = read(self.binding_api()).await?
        {
            group.clone_from(&api.group);
        }
        let (resource, part) = match grant.resource.split_once('/') {
            Some((resource, part)) => (resource, Some(part)),
            None => (grant.resource.as_str(), None),
        };
        let attributes = ResourceAttributes {
            group: Some(group),
            name: grant.name.clone(),
            namespace: grant.namespace.clone(),
            resource: Some(resource.to_owned()),
            subresource: part.map(str::to_owned),
            verb: Some(grant.verb.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), non_resource_attributes: None };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client());
        let answer = read(api.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use http_body_util::BodyExt;
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower::{BoxError, service_fn};

    use super::*;

    /// Returns a cluster whose API server allows only `list`, and the attributes of each review. Its bindings are those
    /// of Auto Mode.
    fn cluster() -> (K8s, Arc<Mutex<Vec<Value>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let reviews = Arc::clone(&asked);
        let service = service_fn(move |request: Request<Body>| {
            let reviews = Arc::clone(&reviews);
            async move {
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
                let (status, answer) = match path.as_str() {
                    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
                        let mut review: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
                        let attributes = review["spec"]["resourceAttributes"].clone();
                        review["status"] = json!({"allowed": attributes["verb"] == "list"});
                        reviews.lock().map_err(|e| e.to_string())?.push(attributes);
                        (201, review)
                    }
                    "/apis/eks.amazonaws.com/v1" => {
                        let kind = json!({
                            "name": "targetgroupbindings", "singularName": "", "namespaced": true,
                            "kind": "TargetGroupBinding", "verbs": ["list"],
                        });
                        let group = "eks.amazonaws.com/v1";
                        (200, json!({"kind": "APIResourceList", "groupVersion": group, "resources": [kind]}))
                    }
                    _ => (404, json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"})),
                };
                let response = Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()));
                response.map_err(|e| BoxError::from(e.to_string()))
            }
        });
        (K8s::new(Client::new(service, "default")), asked)
    }

    fn grant(group: &str, resource: &str, verb: &str) -> Grant {
        let (group, resource, verb) = (group.to_owned(), resource.to_owned(), verb.to_owned());
        Grant { namespace: Some("shop".to_owned()), group, resource, name: None, verb }
    }

    #[tokio::test]
    async fn the_api_server_decides_about_each_permission() {
        let (cluster, asked) = cluster();
        assert_eq!(cluster.allowed(&grant("apps", "deployments", "list")).await, Ok(true));
        assert_eq!(cluster.allowed(&grant("apps", "deployments", "create")).await, Ok(false));
        let bindings = grant("elbv2.k8s.aws", "targetgroupbindings", "list");
        assert_eq!(cluster.allowed(&bindings).await, Ok(true));
        let asked = asked.lock().unwrap().clone();
        let first = json!({"group": "apps", "namespace": "shop", "resource": "deployments", "verb": "list"});
        assert_eq!((&asked[0], asked.len()), (&first, 3), "{asked:?}");
        assert_eq!(asked[2]["group"], "eks.amazonaws.com", "the group that the cluster serves");
    }
}
