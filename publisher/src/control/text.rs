//! The control API as a text for programs (`OpenAPI` 3.1), which `/api/v1/openapi.json` serves to everybody.
//!
//! Each call stands in it by its own types and words; here is what all of them have in common: where they are, who may
//! make them, how they are refused.
//!
//! Source: the `OpenAPI` specification, 3.1.

use podswarm_core::app::ApiError;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, Ref, RefOr,
    Required, ResponseBuilder, Schema, SecurityRequirement, ServerBuilder, Type,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::tokens::Role;

/// The name of the way in which a token is shown.
const BEARER: &str = "token";

/// Says of every call in `text` that it is for `role`, and those who may do more.
pub(super) fn for_role(text: &mut OpenApi, role: Role) {
    for operation in operations(text) {
        operation.tags = Some(vec![role.to_string()]);
    }
}

/// Adds what all calls have in common.
pub(super) fn complete(mut text: OpenApi) -> OpenApi {
    text.info = InfoBuilder::new()
        .title("podpub")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Drives a running publisher: what its commands and its dashboard do. A token says who asks; each call \
             stands under the role that it needs, and a role may do what those before it may: read-only, editor, \
             owner. Uploads are tus 1.0.0 with the extensions creation and termination.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT").build()))
        .build();
    text.servers = Some(vec![ServerBuilder::new().url("/api/v1").build()]);
    text.security = Some(vec![SecurityRequirement::new(BEARER, std::iter::empty::<&str>())]);
    let tag = |role: Role, text| TagBuilder::new().name(role.to_string()).description(Some(text)).build();
    text.tags = Some(vec![
        tag(Role::ReadOnly, "Calls for everybody who has a token."),
        tag(Role::Editor, "Calls for editors and owners."),
        tag(Role::Owner, "Calls for owners."),
    ]);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("Made with `podpub token add NAME`. From outside the house it is taken over https only."));
    let components = text.components.take().unwrap_or_default();
    text.components = Some(
        ComponentsBuilder::from(components)
            .security_scheme(BEARER, SecurityScheme::Http(scheme.build()))
            .schema(ApiError::name(), ApiError::schema())
            .build(),
    );
    for operation in operations(&mut text) {
        refuse(operation);
    }
    for schema in text.components.iter_mut().flat_map(|components| components.schemas.values_mut()) {
        name_one(schema);
    }
    text
}

/// Says of a value that is one of several, each under a name of its own, that it bears one name only.
fn name_one(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(one_of)) = schema else { return };
    for item in &mut one_of.items {
        if let RefOr::T(Schema::Object(object)) = item
            && object.properties.len() == 1
            && object.required.len() == 1
        {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// Adds the answers of refusal that a call can have beside its own.
fn refuse(operation: &mut Operation) {
    let is_open = operation.security.is_some();
    let has_body = operation.request_body.is_some();
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required = Some(Required::True);
    }
    let is_told = has_body || operation.parameters.is_some();
    let mut add = |status: &str, why: &str| {
        let has_it = operation.responses.responses.contains_key(status);
        if !has_it {
            operation.responses.responses.insert(status.to_owned(), refusal(status, why).into());
        }
    };
    add("429", "So much was asked from this network that it has to wait.");
    if is_open {
        return;
    }
    add("401", "The token is missing or wrong.");
    add("403", "The token's role is too small, or others could read it on its way.");
    add("422", "It is understood, and cannot be done.");
    add("503", "Tokens cannot be read at the moment.");
    if is_told {
        add("400", "Something in the request is no value of its kind.");
    }
    if has_body {
        add("413", "The request is too long.");
        add("415", "The request has another type.");
    }
}

fn refusal(status: &str, why: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ApiError::name()))).build();
    let response = ResponseBuilder::new().description(why).content("application/json", content);
    match status {
        "429" => {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
            let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds.")).build();
            response.header("retry-after", header)
        }
        _ => response,
    }
}

fn operations(text: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    text.paths.paths.values_mut().flat_map(|item| {
        let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
        [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
    })
}
