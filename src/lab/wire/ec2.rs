//! The EC2 API: DescribeSubnets. Its protocol has other lists and errors than that of the other services.

use std::fmt::Write;

use http::Response;
use hyper::body::Bytes;

use super::query::Query;
use crate::lab::model::Subnet;

/// Version of the EC2 API.
pub(crate) const API_VERSION: &str = "2016-11-15";

/// Handles a call. Returns the response, and the outcome for the call log.
pub(crate) fn answer(subnets: &[&Subnet], query: &Query, id: &str) -> (Response<Bytes>, String) {
    if query.action != "DescribeSubnets" {
        return (failure(400, "InvalidAction", "the lab does not support this operation", id), "InvalidAction".into());
    }
    let ids = query.input["SubnetId"].as_object().into_iter().flatten().filter_map(|(_, id)| id.as_str());
    let ids: Vec<&str> = ids.collect();
    if let Some(wrong) = ids.iter().find(|id| !subnets.iter().any(|subnet| subnet.id == **id)) {
        let code = "InvalidSubnetID.NotFound";
        return (failure(400, code, &format!("The subnet ID '{wrong}' does not exist"), id), code.into());
    }
    let mut items = String::new();
    for subnet in subnets.iter().filter(|subnet| ids.is_empty() || ids.contains(&subnet.id.as_str())) {
        // Writing to a string cannot fail. The values have no special characters.
        let _ = write!(
            items,
            "<item><subnetId>{}</subnetId><availabilityZone>{}</availabilityZone>\
             <availableIpAddressCount>{}</availableIpAddressCount></item>",
            subnet.id, subnet.zone, subnet.free
        );
    }
    let body = format!(
        "<DescribeSubnetsResponse xmlns=\"http://ec2.amazonaws.com/doc/{API_VERSION}/\"><requestId>{id}</requestId>\
         <subnetSet>{items}</subnetSet></DescribeSubnetsResponse>"
    );
    (super::text(200, "text/xml", body, id), "ok".into())
}

/// Builds the response to a failed call.
pub(crate) fn failure(status: u16, code: &str, message: &str, id: &str) -> Response<Bytes> {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
         <RequestID>{id}</RequestID></Response>"
    );
    super::text(status, "text/xml", body, id)
}
