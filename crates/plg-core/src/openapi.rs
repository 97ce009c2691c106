//! Schemas of the types that write themselves, for the OpenAPI document.

use crate::calendar::{Month, TimeZone};
use crate::catalogue::{CATALOGUE, Counter, EventType};
use crate::event_data::{EVENT_DATA_MAX_BYTES, EVENT_DATA_MAX_LEVELS, EventData};
use crate::plan::{LIMIT_MAX, Limit, Limits};
use utoipa::openapi::schema::{AdditionalProperties, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

macro_rules! schema {
    ($($name:ident => $schema:expr;)*) => {$(
        impl ToSchema for $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }
    )*};
}

schema! {
    Month => text()
        .pattern(Some("^[2-9][0-9]{3}-(0[1-9]|1[0-2])$"))
        .description(Some("A calendar month of the hotel's time zone."))
        .examples(["2026-11"]);
    TimeZone => text()
        .description(Some("The name of a time zone in the IANA database."))
        .examples(["Europe/Berlin"]);
    EventType => text()
        .enum_values(Some(CATALOGUE.iter().map(|entry| entry.name)))
        .description(Some("A type of the event catalogue: there are no others."));
    Limit => ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .minimum(Some(0))
        .maximum(Some(LIMIT_MAX))
        .description(Some("Units a month; null is unlimited, and 0 is zero."));
    EventData => ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some(format!(
            "Whatever the sender wants to remember: at most {EVENT_DATA_MAX_BYTES} bytes of JSON, \
             {EVENT_DATA_MAX_LEVELS} levels deep, without the character U+0000. No key twice in one \
             object. Numbers are whole ones of 64 bits, or doubles: send others as text."
        )));
}

impl ToSchema for Limits {
    fn name() -> std::borrow::Cow<'static, str> {
        "Limits".into()
    }
}

impl PartialSchema for Limits {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new().description(Some("The limits of a hotel."));
        let limit = || Ref::from_schema_name(Limit::name());
        let with = |object: ObjectBuilder, counter: Counter| {
            object.property(counter.name(), limit()).required(counter.name())
        };
        Counter::ALL.into_iter().fold(object, with).into()
    }
}
